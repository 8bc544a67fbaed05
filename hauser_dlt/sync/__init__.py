"""A run: plan what the destination lacks, mend what interrupted runs left, load it a package at a time."""

from hauser_dlt.sync.model import LoadedSnapshot, Package, Plan, Report
from hauser_dlt.sync.run import Sync

__all__ = ["LoadedSnapshot", "Package", "Plan", "Report", "Sync"]
