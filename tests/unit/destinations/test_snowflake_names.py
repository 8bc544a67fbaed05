"""Names as Snowflake stores them, and what its COPY is told."""

from types import SimpleNamespace

import pytest
from dlt.common.configuration.specs import AwsCredentials
from hypothesis import given
from hypothesis import strategies as st

from hauser_dlt.destinations.snowflake_copy import copy_statement, in_external_stage, staged_at
from hauser_dlt.destinations.snowflake_names import Folding, refuse_twins
from hauser_dlt.errors import ConfigError, LoadError

names = st.text(st.sampled_from("aAbB_1"), min_size=1, max_size=6)


@given(names)
def test_a_name_is_stored_in_upper_case(name):
    assert Folding()(name) == name.upper()


@given(names, names)
def test_what_has_been_learned_is_found_in_any_case(stored, asked):
    folding = Folding()
    folding.learn("t", [stored])
    assert folding(asked) == (stored if asked.upper() == stored.upper() else asked.upper())
    assert folding(folding(asked)) == folding(asked)


def test_tables_in_upper_case_count_before_others():
    folding = Folding()
    folding.learn_tables([("S", "T", "C"), ("s", "t", "C"), ("S", "u", "C")])
    assert (folding("s"), folding("t"), folding("U")) == ("S", "T", "u")


def test_a_column_that_two_tables_spell_differently_is_refused():
    folding = Folding()
    folding.learn("one", ["_dlt_load_id"])
    with pytest.raises(LoadError, match="two: column _DLT_LOAD_ID is called _dlt_load_id"):
        folding.learn("two", ["_DLT_LOAD_ID"])
    with pytest.raises(LoadError, match="a and A differ only in case"):
        refuse_twins("t", ["a", "b", "A"])


def test_each_dataset_has_a_folder_in_the_stage():
    client = SimpleNamespace(database_name="My DB", dataset_name="Events")
    assert staged_at(None) == "@~/hauser_dlt_staging"
    assert staged_at("db.s.stage", client) == "@db.s.stage/hauser_dlt_staging/my_db.events"


@pytest.mark.parametrize(
    ("url", "bucket", "place"),
    [
        ("s3://b/x/hauser_dlt_staging/1.5/t/f.parquet", "s3://b/x/hauser_dlt_staging/1.5", "hauser_dlt_staging/1.5/t"),
        ("gs://b/x/set/t/f.parquet", "gs://b/x", "set/t"),
        ("gs://b/x/set/t/f.parquet", "gs://b/x/", "set/t"),
    ],
)
def test_a_file_is_found_below_the_url_of_its_stage(url, bucket, place):
    assert in_external_stage("lake", url, bucket) == f"@lake/{place}/f.parquet"


def test_keys_stand_in_a_statement_only_where_there_is_no_stage():
    keys = AwsCredentials()
    keys.aws_access_key_id, keys.aws_secret_access_key = "AKIA", "it's"
    assert "CREDENTIALS" not in copy_statement("t", "@lake/f.parquet", keys)
    assert "CREDENTIALS = (AWS_KEY_ID='AKIA' AWS_SECRET_KEY='it''s')" in copy_statement("t", "s3://b/f.parquet", keys)
    with pytest.raises(ConfigError, match="stage_name"):
        copy_statement("t", "gs://b/f.parquet")
