"""Settings: how they are declared and spelled, where they are found, and the files that `init` writes."""
