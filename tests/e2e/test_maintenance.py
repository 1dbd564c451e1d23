"""The warehouse over several builds, through the commands: it shrinks, and the challenger is still evaluated."""

from pathlib import Path

from tests.checkout import Checkout
from tests.e2e.test_lifecycle import LINEAR, USE_CASE, set_search

FORECASTS = ("regional_revenue", "series_forecasts", "water_flow")
TAGS = tuple(f"tag:{name}" for name in ("german_customers", "clothing_reviews", "review_embeddings", *FORECASTS))
BUILD = ("dbt", "build", "--exclude", *TAGS, "resource_type:unit_test")


def test_a_challenger_is_promoted_after_rebuilds_and_maintenance(tmp_path: Path) -> None:
    checkout = Checkout.below(tmp_path)
    set_search(checkout, max_evals=1, families="[logistic_regression]", parallelism=1, blend=0)
    checkout.run(*BUILD)
    checkout.run("training.run", *USE_CASE, *LINEAR)
    for _ in range(2):
        checkout.run(*BUILD)
    features = checkout.root / "warehouse" / "gold" / "client_features"
    before = sum(file.stat().st_size for file in features.rglob("*.parquet"))
    output = checkout.run("training.maintenance", "--retain", "0")
    assert "is kept for version 1 of term_deposit" in output
    assert sum(file.stat().st_size for file in features.rglob("*.parquet")) < before
    output = checkout.run("deployment.run", "promote", *USE_CASE)
    assert "Version 1 is the champion" in output
    (checkout.root / "mlflow.db").rename(checkout.root / "elsewhere.db")
    refusal = checkout.run("training.maintenance", "--retain", "0", exits=1)
    assert "there is no registry at sqlite:///" in refusal
