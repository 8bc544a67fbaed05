"""The ledger: which windows are loaded, by which load, and which loads are under way."""

from hauser_dlt.ledger.model import CLOCKS_DIFFER, Findings, Lease, Ledger, Sent, SyncRow, superseded

__all__ = ["CLOCKS_DIFFER", "Findings", "Lease", "Ledger", "Sent", "SyncRow", "superseded"]
