"""What listens on loopback for the tests, besides FullStory's simulator; each is a context manager."""

import os

# gcsfs asks for each bucket's layout where no answer comes for a minute; read when it is imported
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
