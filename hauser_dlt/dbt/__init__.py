"""The dbt project that `hauser-dlt dbt` writes."""
