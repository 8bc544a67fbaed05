"""Bundles into Arrow batches and files, in this process or in worker processes. No dlt: a worker starts sooner."""
