"""Learners that fit in parallel on Spark: Spark ML's own, and XGBoost's; their rows, and how models are read out."""
