"""From a registered challenger to an endpoint that answers."""
