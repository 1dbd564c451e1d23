"""The criteria of a promotion: a pure decision, with its statistics, guards and reasons."""
