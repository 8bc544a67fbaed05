"""A run: plan what the destination lacks, remove what interrupted runs left, load it a package at a time."""

from hauser_dlt.sync.model import LoadedSnapshot, Package, Plan, Report
from hauser_dlt.sync.run import Sync
from hauser_dlt.sync.tasks import load_again, load_ready

__all__ = ["LoadedSnapshot", "Package", "Plan", "Report", "Sync", "load_again", "load_ready"]
