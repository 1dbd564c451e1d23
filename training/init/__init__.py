"""From a file to a trained model: reads and profiles it, proposes roles, writes dbt models and a use case, trains."""
