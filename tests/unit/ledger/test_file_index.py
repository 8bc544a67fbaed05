"""What has been listed of folders: values that never change, of which a new one takes the place of an old one."""

from datetime import timedelta

from hauser_dlt.ledger.file_index import Folder, months, stamp
from hauser_dlt.windows import Window
from support.destinations import HOUR, MIDNIGHT

FIRST, SECOND = (Window(MIDNIGHT + n * HOUR, MIDNIGHT + (n + 1) * HOUR) for n in range(2))


def name(window, load_id):
    return f"{stamp(window)}.{load_id}.parquet"


def test_a_folder_keeps_what_it_had_when_more_is_listed_or_a_load_is_removed():
    empty = Folder("fs_export/")
    one = empty.having(frozenset({"202404"}), [name(FIRST, "1.5"), "somebody_elses.parquet"])
    two = one.having(frozenset({"202405"}), [name(SECOND, "2.5")])

    assert (empty.names, one.names.keys(), two.names.keys()) == ({}, {"1.5"}, {"1.5", "2.5"})
    assert two.without({"1.5"}).names.keys() == {"2.5"}
    assert [file.window for file in two.of("1.5")] == [FIRST]
    assert [file.load_id for file in two.touching(SECOND)] == ["2.5"]


def test_a_month_is_listed_once():
    folder = Folder("fs_sync/").having(frozenset({"202404"}), [])

    assert folder.unlisted(FIRST) == {"202405"}
    assert folder.having(frozenset({"202405"}), []).unlisted(FIRST) == set()
    everything = months(None)
    assert folder.having(everything, []).unlisted(FIRST) == set()
    assert months(Window(MIDNIGHT, MIDNIGHT + timedelta(days=400))) == everything
