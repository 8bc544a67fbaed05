"""FullStory's events into Snowflake; run it again and it goes on from there.

Settings: the key as FULLSTORY_API_TOKEN, or api_token under [sources.fullstory] in .dlt/secrets.toml; credentials
under [destination.snowflake].
"""

import dlt

from hauser_dlt import fullstory, snowflake


def load() -> None:
    """Load all windows that are ready and not loaded yet."""
    pipeline = dlt.pipeline("fullstory_to_snowflake", destination=snowflake(), dataset_name="fullstory")
    print(pipeline.run(fullstory()))


if __name__ == "__main__":
    load()
