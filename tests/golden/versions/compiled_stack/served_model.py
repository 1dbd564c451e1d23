"""Script that MLflow stores with a version and runs to load it, instead of a pickle."""

from mlflow.models import set_model

from scoring.pyfunc import ScoringModel

set_model(ScoringModel())
