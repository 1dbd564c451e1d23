"""Implementation of each command. `deployment.run` imports only the one it runs: MLflow, scikit-learn and the engine
take seconds to import, and no command needs them all."""
