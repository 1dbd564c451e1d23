"""Serving endpoints by the Databricks API, of the model server and of a workspace alike."""
