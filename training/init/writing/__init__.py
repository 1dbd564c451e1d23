"""Files of a proposal: dbt models, use case and landing copy."""
