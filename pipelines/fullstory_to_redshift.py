"""FullStory's events into Redshift, by way of S3; run it again and it goes on from there.

Settings: the key as FULLSTORY_API_TOKEN, or api_token under [sources.fullstory] in .dlt/secrets.toml;
credentials, and perhaps staging_iam_role, under [destination.redshift]; bucket_url under [destination.filesystem].
"""

import dlt

from hauser_dlt import fullstory, redshift


def load() -> None:
    """Load all windows that are ready and not loaded yet."""
    pipeline = dlt.pipeline(
        "fullstory_to_redshift", destination=redshift(), staging="filesystem", dataset_name="fullstory"
    )
    print(pipeline.run(fullstory()))


if __name__ == "__main__":
    load()
