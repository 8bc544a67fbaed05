"""Iceberg tables in a folder or bucket."""

from hauser_dlt.destinations.lakehouse import LakehouseAdapter
from hauser_dlt.ledger.iceberg_tables import IcebergTable


class IcebergAdapter(LakehouseAdapter):
    """Iceberg tables in a folder or bucket."""

    table = IcebergTable
