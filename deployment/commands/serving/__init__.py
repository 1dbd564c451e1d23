"""Commands that start, query and stop the model server, or update the endpoint of a workspace."""
