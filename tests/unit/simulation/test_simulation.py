"""The simulation: reproducible samples, deliveries, rates of data errors, and the sizes of planted effects."""

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from lakehouse.settings import PROJECT
from simulation import dirt, effects
from simulation.behaviour import COMPLAINT, QUARTERS, CustomerEvents, behave
from simulation.people import People
from simulation.places import Places
from simulation.run import KOMMUNEN, SAMPLE, TABLES, OutputTaken, Sample, deliver
from tests.unit.simulation.regressions import estimates

BEGIN, CUT, END = (datetime(year, month, 1, tzinfo=UTC) for year, month in ((2021, 1), (2024, 6), (2025, 2)))
SMALL = Sample(1_000, 1)


def landed(folder: Path, table: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in sorted((folder / table).glob("*.parquet")))


@pytest.fixture(scope="module")
def one_delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one_delivery")
    deliver(SMALL, folder, BEGIN, END)
    return folder


@pytest.mark.parametrize("table", TABLES)
def test_the_landing_files_of_the_project_are_the_output_of_the_simulation(table: str, tmp_path: Path) -> None:
    project = KOMMUNEN.parent
    deliver(Sample(2_000, 1), tmp_path, BEGIN, END)
    assert landed(project, table).equals(landed(tmp_path, table))
    assert (project / SAMPLE).read_bytes() == (tmp_path / SAMPLE).read_bytes()


@pytest.mark.parametrize("table", TABLES)
def test_two_deliveries_have_the_rows_of_one(table: str, one_delivery: Path, tmp_path: Path) -> None:
    deliver(SMALL, tmp_path, BEGIN, CUT)
    deliver(SMALL, tmp_path, CUT, END)
    rows, expected = landed(tmp_path, table), landed(one_delivery, table)
    assert rows.equals(expected)
    assert rows.num_rows > 0


def test_an_existing_delivery_or_another_sample_is_refused(one_delivery: Path) -> None:
    before = landed(one_delivery, "orders")
    with pytest.raises(OutputTaken, match="already exists"):
        deliver(SMALL, one_delivery, BEGIN, END)
    with pytest.raises(OutputTaken, match="contains data of another simulation"):
        deliver(Sample(1_000, 2), one_delivery, END, datetime(2026, 1, 1, tzinfo=UTC))
    assert landed(one_delivery, "orders").equals(before)


def test_a_larger_sample_has_more_shards_of_the_same_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulation.run.SHARD", 100)
    shards = list(Sample(250, 1).shards(Places.read(KOMMUNEN)))
    assert [len(set(shard["customers"]["customer_id"].to_pylist())) for shard in shards] == [100, 100, 50]
    ids = [order for shard in shards for order in set(shard["orders"]["order_id"].to_pylist())]
    assert len(ids) == len(set(ids))


def test_data_errors_have_their_declared_rates() -> None:
    places, random = Places.read(KOMMUNEN), np.random.default_rng(7)
    people = People.draw(random, 1, 20_000, places)
    customers = dirt.customers(random, people, places)
    rows = customers.num_rows
    official = sum(state in effects.STATES for state in customers["state"].to_pylist() if state)
    assert customers["state"].null_count / rows == pytest.approx(dirt.STATE_MISSING, rel=0.3)
    assert 1 - official / (rows - customers["state"].null_count) == pytest.approx(dirt.STATE_MISSPELT, rel=0.2)
    assert customers["birth_date"].null_count / rows == pytest.approx(dirt.BIRTH_MISSING, rel=0.2)
    orders = dirt.orders(random, people, behave(random, people, places), 1)
    late = np.asarray(orders["known_at"]) - np.asarray(orders["ordered_at"]) > np.timedelta64(1, "D")
    before = dict(zip(people.ids.tolist(), people.signed_up_at.tolist(), strict=True))
    early = [
        at.replace(tzinfo=None) < before[customer]
        for at, customer in zip(orders["ordered_at"].to_pylist(), orders["customer_id"].to_pylist(), strict=True)
    ]
    assert np.mean(early) == pytest.approx(dirt.ORDER_BEFORE_SIGN_UP, rel=0.2)
    assert (late & ~np.asarray(early)).mean() == pytest.approx(dirt.ORDER_LATE, rel=0.1)
    twice = 1 - len(set(orders["order_id"].to_pylist())) / orders.num_rows
    assert twice == pytest.approx(dirt.ORDER_TWICE, rel=0.2)


def in_quarters(events: CustomerEvents, people: int) -> npt.NDArray[np.int64]:
    """(people, quarters) number of events."""
    counts = np.zeros((people, len(QUARTERS)), dtype=np.int64)
    np.add.at(counts, (events.person, np.searchsorted(QUARTERS, events.at, side="right") - 1), 1)
    return counts


def test_a_regression_on_the_truth_recovers_the_planted_churn() -> None:
    """Regress inactivity after an active quarter on the terms of churn."""
    places, random = Places.read(KOMMUNEN), np.random.default_rng(3)
    people = People.draw(random, 1, 120_000, places)
    behaviour = behave(random, people, places)
    is_complaint = behaviour.contacts.value == COMPLAINT
    complaints = CustomerEvents(*(part[is_complaint] for part in vars(behaviour.contacts).values()))
    orders, complained = in_quarters(behaviour.orders, len(people)), in_quarters(complaints, len(people))
    draws = effects.place_draws(len(places))["churn"]
    rows, churned = [], []
    for number in range(2, 7):
        active = orders[:, number] > 0
        home = people.home_at(QUARTERS[number + 1])[active]
        cohort = effects.cohort_of(people.age_at(QUARTERS[number + 1])[active])
        state = np.asarray(effects.CHURN.state)[places.states[home]]
        last = [np.log1p(orders[active, number]), complained[active, number]]
        rows.append(np.column_stack([cohort == 0, cohort == 1, cohort == 3, state, draws[home], *last]))
        churned.append(orders[active, number + 1] == 0)
    fitted = LogisticRegression(C=1e6, max_iter=1_000).fit(np.concatenate(rows), np.concatenate(churned))
    of = effects.CHURN
    expected = [of.cohort[0], of.cohort[1], of.cohort[3], 1, of.place_spread]
    expected += [effects.CHURN_PER_LOG_ORDERS, effects.CHURN_AFTER_COMPLAINT]
    assert fitted.intercept_[0] == pytest.approx(of.intercept, abs=0.05)
    assert fitted.coef_[0] == pytest.approx(expected, abs=0.08)


def test_regressions_on_the_truth_recover_the_planted_effects_on_orders_and_amounts() -> None:
    """Each effect is within its 99.9 % interval, and every interval is narrow."""
    places, random = Places.read(KOMMUNEN), np.random.default_rng(5)
    people = People.draw(random, 1, 60_000, places)
    orders = behave(random, people, places).orders
    counts, draws = in_quarters(orders, len(people)), effects.place_draws(len(places))

    def explained(who: npt.NDArray[np.int64], begin: np.datetime64, what: str) -> npt.NDArray[np.float64]:
        home, cohort = people.home_at(begin)[who], effects.cohort_of(people.age_at(begin)[who])
        state = np.asarray(getattr(effects, what).state)[places.states[home]]
        ones = np.ones(len(who))
        return np.column_stack([ones, cohort == 0, cohort == 1, cohort == 3, state, draws[what.lower()][home]])

    many_x, many, much_x, much = [], [], [], []
    for number in range(1, 7):
        begin = QUARTERS[number]
        # Every new customer orders in the quarter after the sign-up, so churn does not select them.
        new = np.flatnonzero((people.signed_up_at >= QUARTERS[number - 1]) & (people.signed_up_at < begin))
        many_x.append(explained(new, begin, "ORDERS"))
        many.append(counts[new, number] - 1)
        inside = (orders.at >= begin) & (orders.at < QUARTERS[number + 1])
        much_x.append(explained(orders.person[inside], begin, "AMOUNT"))
        much.append(np.log(orders.value[inside]))
    for kind, of, x, y in (("counts", effects.ORDERS, many_x, many), ("numbers", effects.AMOUNT, much_x, much)):
        found = estimates(kind, np.concatenate(x), np.concatenate(y).astype(np.float64))  # type: ignore[arg-type]
        # Permanent differences between customers raise the mean number of orders.
        spread = effects.ORDERS_PER_PERSON_SPREAD**2 / 2 if of is effects.ORDERS else 0
        first, second, base, last = of.cohort
        true = [of.intercept + base + spread, first - base, second - base, last - base, 1, of.place_spread]
        assert found.contain(true) == [True] * 6, (kind, found, true)
        widths = (found.high - found.low)[[1, 2, 3, 5]]
        assert widths.max() < 0.3


def test_the_page_lists_every_effect_with_its_true_size() -> None:
    page = (PROJECT / "docs" / "german_customers.md").read_text(encoding="utf-8")
    listed = {
        cells[0]: [float(cell) for cell in cells[1:]]
        for line in page.splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")])
        and len(cells) == 4
        and all(re.fullmatch(r"-?\d+(\.\d+)?", cell) for cell in cells[1:])
    }
    quantities = (effects.CHURN, effects.ORDERS, effects.AMOUNT)
    true = {"intercept (all effects zero)": [of.intercept for of in quantities]}
    true |= {name: [of.cohort[i] for of in quantities] for i, name in enumerate(effects.COHORTS)}
    true |= {name: [of.state[i] for of in quantities] for i, name in enumerate(effects.STATES)}
    true |= {"spread of the Kommunen": [of.place_spread for of in quantities]}
    assert listed == true
    for name in ("CHURN_PER_LOG_ORDERS", "CHURN_AFTER_COMPLAINT", "ORDERS_PER_PERSON_SPREAD", "AMOUNT_SPREAD"):
        assert f"`{name}` {getattr(effects, name):g}" in page
    for name in ("RETURN_RATE", "COMPLAINT_RATE", "SERVICE_CONTACTS"):
        assert f"`{name}` {getattr(effects, name):g}" in page
    rates = [name for name in vars(dirt) if name.isupper() and isinstance(getattr(dirt, name), float)]
    assert len(rates) > 10
    for name in rates:
        assert f"`{name}` {getattr(dirt, name) * 100:g} %" in page
