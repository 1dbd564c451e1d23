"""Engines that propose the next trial: hyperopt, Optuna, a grid."""
