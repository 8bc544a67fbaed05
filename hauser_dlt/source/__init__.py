"""The dlt source `fullstory`, and the parts that it is made of."""
