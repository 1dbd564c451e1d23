"""Stage 5: write the report of the run."""

from mlflow.tracking import MlflowClient

from lakehouse import console
from lakehouse.settings import Settings
from training import report


def write_report(run: report.TrainedRun, client: MlflowClient, settings: Settings) -> None:
    """The page of the run, here and in MLflow."""
    console.stage("Writing the report")
    published = report.write(run, client, settings)
    for part, reason in published.failures.items():
        console.detail(f"its part '{part}' failed: {reason}")
    console.detail(str(published.path.relative_to(settings.project)))
    console.detail(published.uri)
