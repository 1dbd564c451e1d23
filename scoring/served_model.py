"""The script that MLflow stores with a version and runs to load it: no pickle anywhere."""

from mlflow.models import set_model

from scoring.pyfunc import ScoringModel

set_model(ScoringModel())
