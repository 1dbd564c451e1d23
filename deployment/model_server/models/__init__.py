"""Model versions: found in the registry, fetched, loaded, checked."""
