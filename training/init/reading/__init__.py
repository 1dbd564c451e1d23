"""The given file or table as typed rows."""
