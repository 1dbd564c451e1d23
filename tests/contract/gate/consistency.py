"""Invariants after a fault. At the start, version 2 of `people` is champion after version 1, and 4 is challenger."""

from deployment.gate.audit import audit
from deployment.gate.gate import Gate
from deployment.ledger import champion_change
from deployment.ledger.history import History
from tests.contract.people import NAME, champion

BEFORE = [("promoted", None, 1), ("promoted", 1, 2)]


def require_consistent(gate: Gate, *champions: int) -> None:
    """Assert that one of these is the champion, and that ledger and registry agree on it after the next command."""
    before = champion(gate)
    assert before in champions
    with gate.locked():
        pass
    assert champion(gate) == before
    assert audit(gate.client, NAME, History(gate.ledger.entries(NAME))) == []
    tags = gate.client.get_registered_model(NAME).tags
    assert tags.keys() == {champion_change.HEAD, champion_change.LOCATION}
