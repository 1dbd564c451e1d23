"""The wheel: its content, and its commands in a folder that is no checkout."""
