"""What commands load before they do anything: each of these libraries takes between half a second and three."""

import json
import subprocess
import sys

import pytest

HEAVY = ("databricks.sdk", "mlflow", "pandas", "pyspark", "scipy", "sklearn")
ASKED = f"import json, sys, {{}}; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"


@pytest.mark.parametrize(
    ("module", "loads"),
    [
        ("deployment.run", []),
        ("deployment.commands.status", []),
        ("training.use_case.use_case", []),
        ("deployment.commands.ask", ["databricks.sdk"]),
        ("deployment.commands.history", ["mlflow", "pandas", "pyspark", "scipy"]),  # scipy.sparse, and all by MLflow
    ],
)
def test_a_command_loads_what_it_needs(module: str, loads: list[str]) -> None:
    said = subprocess.run([sys.executable, "-c", ASKED.format(module)], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == loads
