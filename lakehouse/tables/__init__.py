"""Delta tables in a folder, their writer lock, the online store and trailing windows."""
