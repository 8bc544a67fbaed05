"""Bundles into Arrow batches: bytes -> gunzip -> records -> columns. Pure, in bounded memory; no I/O."""
