"""Gold tables after `dbt build`."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from lakehouse.session import open_session
from lakehouse.tables.warehouse import TableName, Warehouse
from scoring.contract import check
from scoring.encoder import Encoder
from scoring.encodings import index_tables, slug
from simulation import effects
from simulation.places import Places
from simulation.run import KOMMUNEN
from tests.checkout import Checkout
from tests.unit.simulation.regressions import Floats, estimates
from training.feature_store.local import LocalFeatureStore
from training.frame.build import load_frame
from training.use_case.use_case import load

GOLDEN = Path(__file__).parent.parent / "golden" / "client_features.csv"


@pytest.fixture(scope="module")
def store(built: Checkout) -> LocalFeatureStore:
    return LocalFeatureStore(open_session, Warehouse(built.root / "warehouse"))


def rows_of(store: LocalFeatureStore, name: str) -> list[dict[str, Any]]:
    location = str(store.warehouse.location(TableName.parse(name)))
    return store.session.read.format("delta").load(location).orderBy("client_id").toArrow().to_pylist()  # type: ignore[no-any-return]


def test_dbt_build_publishes_the_feature_tables(store: LocalFeatureStore) -> None:
    names = ["gold.client_features", "gold.customer_activity_features", "gold.customer_profile_features"]
    assert [table.name for table in store.tables()] == names
    table = store.table("gold.client_features")
    assert (table.keys, table.timestamp) == (("client_id",), "contacted_at")
    assert all(feature.description and feature.data_type == "int" for feature in table.features)
    assert "length of the call" in table.description


def test_the_length_of_the_call_is_not_a_feature(store: LocalFeatureStore) -> None:
    names = [feature.name for feature in store.table("gold.client_features").features]
    assert not [name for name in names if "duration" in name]


def test_gold_tables_have_every_row_of_the_landing_file(store: LocalFeatureStore) -> None:
    features, labels = rows_of(store, "gold.client_features"), rows_of(store, "gold.term_deposit_labels")
    assert len(features) == len(labels) == 45_211
    assert sum(row["subscribed"] for row in labels) == 5_289
    times = [row["contacted_at"] for row in labels]
    assert (times[0].isoformat(), max(times).isoformat()) == (
        "2008-05-05T00:00:00+00:00",
        "2010-11-17T00:00:00+00:00",
    )


def test_gold_rows_equal_the_golden_file(store: LocalFeatureStore) -> None:
    with GOLDEN.open(encoding="utf-8") as file:
        golden = {int(row["client_id"]): row for row in csv.DictReader(file)}
    for row in rows_of(store, "gold.client_features"):
        if row["client_id"] in golden:
            actual = {
                name: f"{value:%Y-%m-%d}" if name == "contacted_at" else str(value) for name, value in row.items()
            }
            assert actual == golden.pop(row["client_id"])
    assert not golden


def test_request_encodings_equal_the_gold_table(store: LocalFeatureStore) -> None:
    """SQL and Python each implement every encoding; they agree exactly on every row."""
    table = store.table("gold.client_features")
    vocabularies = {name: store.vocabulary(name)[0] for name in index_tables(table.encodings)}
    encoder = Encoder(table.encodings, vocabularies, table.select(()))
    raw = {encoding.column for encoding in table.encodings}
    contacts = rows_of(store, "staging.stg_bank_contacts")
    records = [{name: row[name] for name in raw} for row in contacts]
    check(records, encoder)
    encoded = encoder.features_of(records)
    gold = rows_of(store, "gold.client_features")
    for name in encoder.features:
        np.testing.assert_array_equal(encoded[name], [row[name] for row in gold], err_msg=name)


def test_frame_matrix_and_request_matrix_are_equal(store: LocalFeatureStore) -> None:
    frame = load_frame(load("term_deposit"), store)
    contacts = {row["client_id"]: row for row in rows_of(store, "staging.stg_bank_contacts")}
    raw = {encoding.column for encoding in frame.encoder.encodings}
    records = [{name: contacts[key][name] for name in raw} for key in frame.keys.tolist()]
    request = frame.encoder.matrix(frame.encoder.features_of(records))
    assert request.columns == frame.columns
    np.testing.assert_array_equal(request.values.toarray(), frame.x.toarray())


def test_a_frame_can_be_rebuilt_from_its_table_versions(store: LocalFeatureStore) -> None:
    frame = load_frame(load("term_deposit"), store)
    again = load_frame(load("term_deposit"), store, frame.sources)
    assert again.fingerprint() == frame.fingerprint()


def test_the_feature_profile_has_a_row_per_feature(store: LocalFeatureStore) -> None:
    location = str(store.warehouse.location(TableName.parse("gold.client_feature_profile")))
    profile = {r["feature"]: r for r in store.session.read.format("delta").load(location).toArrow().to_pylist()}
    assert set(profile) == {feature.name for feature in store.table("gold.client_features").features}
    assert (profile["age"]["minimum"], profile["age"]["maximum"], profile["age"]["row_count"]) == (18, 95, 45_211)


def test_the_training_frame_shows_the_planted_effects_on_churn(store: LocalFeatureStore) -> None:
    """Every planted effect lies in its 99.9 % interval; the signs of complaints, orders and states are certain."""
    rows = load_frame(load("churn"), store)
    cohort, orders = rows.features["age_cohort"], rows.features["orders_90d"]
    state_effects = [
        effect * rows.features[f"state_{slug(state)}"]
        for state, effect in zip(effects.STATES, effects.CHURN.state, strict=True)
    ]
    cohorts = [cohort == number for number in (1, 2, 4, 0)]  # relative to cohort 3, ages 50 to 64; 0 is unknown
    behaviour = [np.log1p(orders), rows.features["complaints_90d"] > 0]
    x = np.column_stack([np.ones(len(rows)), *behaviour, sum(state_effects), *cohorts])
    estimated = estimates("labels", x, rows.y.astype(np.float64))
    churn = effects.CHURN
    true = [
        churn.intercept,
        effects.CHURN_PER_LOG_ORDERS,
        effects.CHURN_AFTER_COMPLAINT,
        1,
        *churn.cohort[:2],
        churn.cohort[3],
    ]
    assert estimated.contain([*true, 0])[:7] == [True] * 7
    assert estimated.high[1] < 0 < estimated.low[2]
    assert estimated.low[3] > 0


def test_the_training_frame_shows_the_planted_effects_on_revenue(store: LocalFeatureStore) -> None:
    """For customers with orders last quarter, each component of the expected revenue has its true weight of 1."""
    rows, places = load_frame(load("next_quarter_revenue"), store), Places.read(KOMMUNEN)
    number = {code: index for index, code in enumerate(places.codes)}
    known = np.asarray([number.get(code, -1) for code in rows.encoder.vocabularies["gold.kommune_index"]])
    home, cohort = known[rows.features["kommune_index"]], rows.features["age_cohort"] - 1
    used = (home >= 0) & (cohort >= 0) & (rows.features["orders_90d"] > 0)
    home, cohort, orders = home[used], cohort[used], rows.features["orders_90d"][used]
    draws, state = effects.place_draws(len(places)), places.states[home]
    churn = effects.CHURN.of(cohort, state, draws["churn"][home]) + effects.CHURN_PER_LOG_ORDERS * np.log1p(orders)
    churn += effects.CHURN_AFTER_COMPLAINT * rows.features["complaints_90d"][used]
    further = expected_further_orders(effects.ORDERS.of(cohort, state, draws["orders"][home]), orders)
    amount = effects.AMOUNT
    components = [
        np.log(1 - expit(churn)),
        np.log1p(further),
        np.asarray(amount.cohort)[cohort],
        np.asarray(amount.state)[state],
        amount.place_spread * draws["amount"][home],
    ]
    one_order = np.exp(amount.intercept + effects.AMOUNT_SPREAD**2 / 2)
    estimated = estimates("counts", np.column_stack([np.ones(len(home)), *components]), rows.y[used] / one_order)
    assert estimated.contain([0, 1, 1, 1, 1, 1]) == [True] * 6, estimated
    assert estimated.low[1:].min() > 0.5


def expected_further_orders(log_rate: Floats, orders: Floats) -> Floats:
    """Expected orders beyond the first in the next quarter, given `orders` in the last: they rise with `orders`."""
    spread, weight = np.polynomial.hermite_e.hermegauss(21)
    rates = np.exp(log_rate[:, None] + effects.ORDERS_PER_PERSON_SPREAD * spread)
    likely = weight * np.exp(-rates) * rates ** (orders[:, None] - 1)
    return np.asarray((likely * rates).sum(axis=1) / likely.sum(axis=1), dtype=np.float64)
