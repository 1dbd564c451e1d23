"""Search for the best hyperparameters: trials, the loop, engines that propose them, executors that run them."""
