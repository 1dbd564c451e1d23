"""The use case `recommended` on some of the reviews: tables, training, gate, server, and requests with odd texts."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from tests.checkout import Checkout, ended

ROWS = 5_000
LANDING = Path("dbt_project/landing/clothing_reviews/reviews.parquet")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, str]]:
    """A checkout whose endpoint serves a version of the first reviews, and the output of its training."""
    checkout = Checkout.below(tmp_path_factory.mktemp("texts"))
    reviews = pq.read_table(checkout.root / LANDING)
    pq.write_table(reviews.slice(0, ROWS), checkout.root / LANDING)
    checkout.run("dbt", "build", "--select", "tag:clothing_reviews")
    output = checkout.run("training.run", "--use-case", "recommended", "--max-evals", "2", "--parallelism", "1")
    checkout.run("deployment.run", "promote", "--use-case", "recommended")
    checkout.run("deployment.run", "serve", "--use-case", "recommended", "--detach")
    yield checkout, output
    checkout.run("deployment.run", "stop")


def ask(checkout: Checkout, records: list[dict[str, Any]], endpoint: str = "recommended") -> tuple[int, Any]:
    address = checkout.variables["MODEL_SERVER"].removeprefix("http://")
    token = (checkout.root / ".serving/token").read_text(encoding="ascii").strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"dataframe_records": records})
    with closing(HTTPConnection(address, timeout=60)) as connection:
        connection.request("POST", f"/serving-endpoints/{endpoint}/invocations", body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def record(text: Any) -> dict[str, Any]:
    return {"review": text, "age": 41, "department": "dresses"}


def test_the_reviews_are_learned_and_compiled(trained: tuple[Checkout, str]) -> None:
    _, output = trained
    assert "compiled as text: max difference 0" in output
    holdout = next(line for line in output.splitlines() if line.strip().startswith("Holdout: roc_auc"))
    assert float(holdout.split("roc_auc ")[1].split()[0]) > 0.91


def test_a_text_has_one_prediction_alone_and_beside_others(trained: tuple[Checkout, str]) -> None:
    checkout, _ = trained
    texts = pq.read_table(checkout.root / LANDING)["Review Text"].to_pylist()[:40]
    status, together = ask(checkout, [record(text) for text in [*texts, *texts, *texts[:20]]])
    assert status == 200
    assert together["predictions"][40:80] == together["predictions"][:40]
    alone = [ask(checkout, [record(text)])[1]["predictions"][0] for text in texts[:10]]
    assert alone == together["predictions"][:10]
    good, bad = ask(checkout, [record("I love it, great fit"), record("Poor quality, I returned it")])[1][
        "predictions"
    ]
    assert good["probability"] > bad["probability"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 200),
        (None, 200),
        ("这件衣服很好 👗", 200),
        ("word " * 2_000, 200),
        ("x" * 100_000, 400),
        ("a\0b", 400),
        ("half \ud83d", 400),
        (7, 400),
    ],
    ids=["empty", "null", "other script", "long", "too long", "nul", "half surrogate pair", "number"],
)
def test_an_odd_text_is_predicted_or_refused_with_a_reason(
    trained: tuple[Checkout, str], text: Any, expected: int
) -> None:
    status, response = ask(trained[0], [record(text)])
    assert status == expected
    assert ("predictions" in response) is (expected == 200)
    if expected == 400:
        assert "review" in response["message"] or "UTF-8" in response["message"]


def test_live_reviews_are_monitored_by_their_length_and_have_not_moved(trained: tuple[Checkout, str]) -> None:
    checkout, _ = trained
    use_case = ("--use-case", "recommended")
    rows = ("--input", "staging.stg_clothing_reviews", "--newest", str(ROWS))
    checkout.run("deployment.run", "replay", *use_case, *rows, "--seconds", "2")
    with ended(checkout.start("deployment.run", "monitor", *use_case, "--since", "10m", "--window", "1s")) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode in {0, 4}, output  # quiet traffic has a false alarm now and then
    table = DeltaTable(checkout.root / "warehouse/monitoring/findings")
    compared = [row for row in table.to_pyarrow_table().to_pylist() if row["subject"] == "review"]
    drift = [row for row in compared if row["kind"] == "drift"]
    assert sum(row["rows"] for row in drift) > 500
    assert max(row["psi"] for row in drift) < 0.1
    assert not any(row["found"] for row in compared if row["kind"] == "unknown")


def test_a_plain_build_leaves_the_reviews_out(trained: tuple[Checkout, str]) -> None:
    listed = trained[0].run("dbt", "--quiet", "ls", "--resource-type", "model")
    assert "client_features" in listed
    assert "review" not in listed
