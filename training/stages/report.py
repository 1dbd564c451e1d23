"""Stage 5: write the report of the run."""

from mlflow.tracking import MlflowClient

from lakehouse import console
from lakehouse.settings import Settings
from training import report


def write_report(run: report.TrainedRun, client: MlflowClient, settings: Settings) -> None:
    """Write the report of the run to a local file and to MLflow."""
    console.stage("Writing the report")
    published = report.write(run, client, settings)
    for section, reason in published.failures.items():
        console.detail(f"section '{section}' failed: {reason}")
    console.detail(str(published.path.relative_to(settings.project)))
    console.detail(published.uri)
