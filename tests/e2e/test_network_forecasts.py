"""The use case `water_flow_by_networks`: networks are trained, promoted, served by key, reloaded with equal bits."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from tests.checkout import Checkout
from tests.contract.people import mlflow_restored
from tests.e2e.test_forecasts import ask, table

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="the extra torch is not installed: make torch")
NAME, HORIZON = "water_flow_by_networks", 24
TABLES = "gold.water_flow_features", "gold.water_flow_history_features"
SPACE = """  space:
    nhits: {max_epochs: [4], width: [64]}
    patch_transformer: {max_epochs: [2], blocks: [1]}
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with the tables, and with a gate that any forecast passes."""
    made = Checkout.below(tmp_path_factory.mktemp("networks"))
    case = made.root / f"training/use_cases/{NAME}.yml"
    text = case.read_text(encoding="utf-8").replace("  parallelism: 2\n", f"  parallelism: 1\n  blend: 0\n{SPACE}")
    case.write_text(text.replace("minimum: 3 ", "minimum: 100 ").replace("margin: 0.05", "margin: 100"), "utf-8")
    made.run("dbt", "run", "--select", "tag:water_flow")
    for name in TABLES:
        made.run("training.publish", "--online", name)
    yield made
    made.run("deployment.run", "stop")


@pytest.mark.parametrize(("version", "family"), [(1, "nhits"), (2, "patch_transformer")])
def test_a_network_is_trained_promoted_and_served_with_the_bits_of_its_version(
    checkout: Checkout, version: int, family: str
) -> None:
    output = checkout.run("training.run", "--use-case", NAME, "--max-evals", "1", "--families", family)
    assert "compiled as network: max difference 0" in output
    promoted = checkout.run("deployment.run", "promote", "--use-case", NAME)
    assert f"Version {version} is the champion" in promoted
    checkout.run("deployment.run", "serve", "--use-case", NAME, "--detach")
    features, past = (table(checkout, name) for name in TABLES)
    rows = features.merge(past, on=["pipe", "hour", "as_of"])
    assert len(rows) == len(features) == len(past)
    newest = rows[rows.as_of == rows.as_of.max()].sort_values("hours_ahead")
    status, answer = ask(checkout, newest[["pipe", "hour"]].to_dict("records"), "water-flow-by-networks")
    assert status == 200, answer
    served = pd.DataFrame(answer["predictions"])
    assert len(served) == served.value.nunique() == HORIZON
    assert ((served.lower < served.value) & (served.value < served.upper)).all()
    sent = newest.drop(columns=["pipe", "hour", "as_of"]).reset_index(drop=True)
    by_features = ask(checkout, sent.to_dict("records"), "water-flow-by-networks")
    assert by_features[1]["predictions"] == answer["predictions"], "by key and by features"
    alone = ask(checkout, sent.to_dict("records")[3:4], "water-flow-by-networks")
    assert alone[1]["predictions"] == answer["predictions"][3:4]
    with mlflow_restored():
        mlflow.set_tracking_uri(f"sqlite:///{checkout.root}/mlflow.db")
        model: Any = mlflow.pyfunc.load_model(f"models:/{NAME}/{version}")
        run = mlflow.get_run(model.metadata.run_id)
        reloaded = model.predict(sent)
    assert run.data.params["family"] == family
    np.testing.assert_array_equal(reloaded[served.columns], served)
