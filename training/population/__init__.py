"""The population of a version: counts of its inputs, predictions and labels, with which live traffic is compared."""
