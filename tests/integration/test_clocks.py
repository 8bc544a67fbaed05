"""A clock that disagrees with FullStory's is refused, and nothing that lies in the future counts as loaded."""

from datetime import timedelta

import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from hauser_dlt import fullstory
from hauser_dlt.errors import ClockError
from hauser_dlt.exports.clocks import time_there
from hauser_dlt.reports.check import check
from hauser_dlt.windows import Window
from support.destinations import HOUR, MIDNIGHT

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
NOW = MIDNIGHT + 2 * DAY  # with the delay of a day, a day has settled
EACH_API = ({}, {"api": "data_export"})


def settings_of(runs, settings):
    return settings | ({"base_url": runs.sim.export_url} if settings else {})


@pytest.mark.parametrize("settings", EACH_API, ids=["segment exports", "data exports"])
@pytest.mark.parametrize("offset", [-365 * DAY, -6 * MINUTE, 6 * MINUTE, 90 * DAY], ids=str)
def test_a_clock_that_disagrees_is_refused_before_anything_is_exported(runs, settings, offset):
    runs.sim.now = NOW
    runs.sim.clock_offset = offset
    settings = settings_of(runs, settings)
    kept = [Window(MIDNIGHT, MIDNIGHT + DAY)]
    ways = {
        "run": lambda: runs.load(NOW, **settings),
        "run, nothing is ready": lambda: runs.load(MIDNIGHT - MINUTE, **settings),
        "backfill": lambda: runs.load(NOW, MIDNIGHT, NOW, **settings),
        "reload": lambda: runs.reload(NOW, kept[0].start, kept[0].end, **settings),
        "check": lambda: list(check(runs.configuration(**settings), lambda _: None)),
    }
    way = "behind" if offset > timedelta(0) else "ahead of"
    for run in ways.values():
        with pytest.raises(
            ClockError, match=rf"clock of this machine is \d+ (min|h|days) {way} FullStory's \("
        ) as found:
            run()
        assert "\n" not in str(found.value)
        assert found.value.exit_code == 2

    assert runs.sim.created() == []
    assert not [request for request in runs.sim.requests if request.path.endswith("/get")]
    with duckdb.connect(str(runs.target.database)) as connection:
        assert connection.execute("SHOW ALL TABLES").fetchall() == []


@pytest.mark.parametrize("offset", [-4 * MINUTE, 4 * MINUTE], ids=str)
def test_a_clock_that_is_nearly_right_will_do(runs, offset):
    runs.sim.clock_offset = offset
    runs.load(NOW)
    runs.expect(MIDNIGHT, MIDNIGHT + DAY)


def test_an_embedded_source_refuses_a_wrong_clock_too(runs, sim, tmp_path):
    sim.clock_offset = HOUR
    pipeline = dlt.pipeline("clocks", destination="duckdb", pipelines_dir=str(tmp_path / "pipelines"))
    source = fullstory(api_token=sim.token, base_url=sim.url, start_time=MIDNIGHT, end_time=MIDNIGHT + HOUR)
    with pytest.raises(PipelineStepFailed, match="clock of this machine is 60 min behind"):
        pipeline.run(source)
    assert sim.created() == []


@pytest.mark.parametrize(
    ("headers", "there"),
    [
        ({"Date": "Wed, 01 May 2024 00:00:00 GMT"}, MIDNIGHT),
        ({"Date": "Wed, 01 May 2024 00:00:00 GMT", "Age": "3600"}, MIDNIGHT + HOUR),
        ({"Date": "Wednesday, 01-May-24 00:00:00 GMT"}, MIDNIGHT),
        ({"Date": "Wed May  1 00:00:00 2024"}, MIDNIGHT),
        ({"Date": "Wed, 01 May 2024 02:00:00 +0200"}, MIDNIGHT),
        ({"Date": "soon"}, None),
        ({"Date": ""}, None),
        ({"Date": "Wed, 01 May 2024 00:00:00 GMT", "Age": "x"}, None),
        ({}, None),
    ],
)
def test_the_time_of_an_answer_is_read_in_each_form_and_may_be_missing(headers, there):
    assert time_there(headers) == there
