"""Servers that the tests start themselves, on free ports of this machine."""
