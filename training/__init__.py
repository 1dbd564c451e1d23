"""From gold feature tables to a registered challenger."""
