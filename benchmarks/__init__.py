"""What we claim about speed and memory, and how to measure it again: `make bench`."""
