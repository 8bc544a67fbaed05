"""FullStory's events into a bucket, as Parquet; run it again and it goes on from there.

Settings: the key as FULLSTORY_API_TOKEN, or api_token under [sources.fullstory] in .dlt/secrets.toml;
bucket_url (s3://name/path) under [destination.filesystem], and its credentials, where boto does not find them.
"""

import dlt

from hauser_dlt import fullstory


def load() -> None:
    """Load all windows that are ready and not loaded yet."""
    pipeline = dlt.pipeline("fullstory_to_s3", destination="filesystem", dataset_name="fullstory")
    print(pipeline.run(fullstory(), loader_file_format="parquet"))


if __name__ == "__main__":
    load()
