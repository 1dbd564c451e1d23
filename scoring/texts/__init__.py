"""Texts: the terms of a text, and their weights."""
