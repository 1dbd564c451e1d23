"""Registered versions: their files, description, signature and compiled form."""
