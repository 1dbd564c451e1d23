"""Profile of the rows, and the role of each column."""
