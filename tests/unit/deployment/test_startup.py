"""Heavy imports of commands: each of these libraries takes between half a second and three seconds."""

import json
import subprocess
import sys

import pytest

HEAVY = ("databricks.sdk", "mlflow", "pandas", "pyspark", "scipy", "sklearn")
CODE = f"import json, sys, {{}}; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("deployment.run", []),
        ("deployment.model_server.app", []),
        ("scoring.scorer", []),
        ("scoring.key_lookup", []),
        ("deployment.commands.serving.status", []),
        ("deployment.commands.serving.serve", []),
        ("training.use_case.use_case", []),
        ("deployment.commands.serving.ask", ["databricks.sdk"]),
        ("deployment.commands.history", ["mlflow", "pandas", "pyspark", "scipy"]),  # scipy.sparse, and all by MLflow
    ],
)
def test_a_command_imports_only_what_it_needs(module: str, imported: list[str]) -> None:
    process = subprocess.run([sys.executable, "-c", CODE.format(module)], capture_output=True, text=True, check=True)
    assert json.loads(process.stdout) == imported
