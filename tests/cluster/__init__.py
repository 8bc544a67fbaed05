"""A cluster of hosts on this machine, and schedulers that use it."""
