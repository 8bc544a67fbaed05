"""Delta tables in a folder or bucket."""

from hauser_dlt.destinations.lakehouse import LakehouseAdapter
from hauser_dlt.ledger.delta_tables import DeltaLakeTable


class DeltaAdapter(LakehouseAdapter):
    """Delta tables in a folder or bucket."""

    table = DeltaLakeTable
