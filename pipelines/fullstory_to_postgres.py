"""FullStory's events into Postgres; run it again and it goes on from there.

Settings: the key as FULLSTORY_API_TOKEN, or api_token under [sources.fullstory] in .dlt/secrets.toml;
credentials under [destination.postgres].
"""

import dlt

from hauser_dlt import fullstory


def load() -> None:
    """Load all windows that are ready and not loaded yet."""
    pipeline = dlt.pipeline("fullstory_to_postgres", destination="postgres", dataset_name="fullstory")
    print(pipeline.run(fullstory()))


if __name__ == "__main__":
    load()
