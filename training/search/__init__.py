"""Which hyperparameters are best: spaces, trials, and the methods that choose the next one."""
