"""FullStory's events into a DuckDB file; run it again and it goes on from there.

Settings: the key as FULLSTORY_API_TOKEN, or api_token under [sources.fullstory] in .dlt/secrets.toml;
credentials under [destination.duckdb], if fullstory_to_duckdb.duckdb in the current folder is not to be the file.
"""

import dlt

from hauser_dlt import fullstory


def load() -> None:
    """Load all windows that are ready and not loaded yet."""
    pipeline = dlt.pipeline("fullstory_to_duckdb", destination="duckdb", dataset_name="fullstory")
    print(pipeline.run(fullstory()))


if __name__ == "__main__":
    load()
