"""Networks over the history of a series: what they read of a row, and their learners."""
