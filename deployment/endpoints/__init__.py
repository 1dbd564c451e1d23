"""Client of serving endpoints (Databricks API), for the model server and for a workspace."""
