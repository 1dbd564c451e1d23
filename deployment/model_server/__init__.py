"""A model server that speaks the Databricks serving-endpoints REST API, for every home that is not Databricks."""
