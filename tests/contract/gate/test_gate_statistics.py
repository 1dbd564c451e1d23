"""Attempts, best former champion and draws: the gate over a real registry and ledger."""

from deployment.gate.criteria.decide import ATTEMPT
from deployment.gate.criteria.decision import Decision
from deployment.gate.gate import Gate
from deployment.ledger.history import History
from tests.contract.people import NAME, Environment, opened_gate, set_challenger

BEST = ", the best former champion"


def attempt(decision: Decision) -> float | None:
    return next(reason.values["attempt"] for reason in decision.reasons if reason.criterion == ATTEMPT)


def missed(decision: Decision) -> list[str]:
    return [reason.criterion for reason in decision.reasons if not reason.passed]


def test_each_version_that_is_compared_on_the_same_rows_is_an_attempt(gate: Gate) -> None:
    assert not any(reason.criterion == ATTEMPT for reason in set_challenger(gate, 1).promote().reasons)
    refused = set_challenger(gate, 3).promote()
    assert attempt(refused) == 1
    again = gate.promote()
    assert again == refused  # the same two versions: the same verdict, and no new attempt
    assert attempt(set_challenger(gate, 2).evaluate()) == attempt(gate.evaluate()) == 2  # a dry run does not count
    assert attempt(gate.promote()) == 2
    assert attempt(set_challenger(gate, 4).evaluate()) == 3
    assert attempt(set_challenger(gate, 3).evaluate()) == 3  # against another champion than before
    # Versions without the time of their last holdout row, as of earlier releases, count.
    gate.client.delete_model_version_tag(NAME, "3", "holdout_until")
    assert attempt(set_challenger(gate, 4).evaluate()) == 3
    # A holdout that ends before the challenger's begins shares no row with it.
    gate.client.set_model_version_tag(NAME, "3", "holdout_from", "1999-01-01T00:00:00+00:00")
    gate.client.set_model_version_tag(NAME, "3", "holdout_until", "1999-12-31T00:00:00+00:00")
    assert attempt(gate.evaluate()) == 2


def test_a_verdict_names_the_units_that_were_drawn(environment: Environment) -> None:
    with opened_gate(environment) as gate:
        set_challenger(gate, 1).promote()
        gain = set_challenger(gate, 2).evaluate().reasons[8]
    assert gain.criterion == "gain in roc_auc over version 1"
    assert gain.found.endswith("drawn: 120 times in blocks of 5")


def test_a_challenger_is_compared_with_the_best_former_champion(environment: Environment) -> None:
    with opened_gate(environment, margin=0.9, minimum=0.01) as gate:
        for version in (1, 2, 3):  # 2 is shown to be better than 1, and 3 is much worse, within the margin
            assert set_challenger(gate, version).promote().promote
    with opened_gate(environment) as gate:
        refused = set_challenger(gate, 1).promote()
        assert missed(refused) == [f"gain in roc_auc over version 2{BEST}"]
        assert set_challenger(gate, 4).evaluate().promote
        assert History(gate.ledger.entries(NAME)).champion == 3
        # Without version 2 the next best is version 1, which no other was shown to be worse than.
        gate.client.delete_model_version(NAME, "2")
        decision = gate.promote()
    assert decision.promote
    reasons = {reason.criterion: reason for reason in decision.reasons}
    assert f"gain in roc_auc over version 1{BEST}" in reasons
    left_out = reasons["former champions that are not compared"]
    assert left_out.found == f"version 2: version 2 of {NAME} is not in the registry"
