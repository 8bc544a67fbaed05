"""Fuzzing: hostile bytes against the decoder, the columns, the cutting of text, and the readers of settings."""
