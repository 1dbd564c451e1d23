"""Version 2 of `people` is the champion after version 1, and 4 the challenger: what must hold after a fault."""

from deployment.gate.audit import audit
from deployment.gate.gate import Gate
from deployment.ledger import champion_change
from deployment.ledger.history import History
from tests.contract.people import NAME, champion

BEFORE = [("promoted", None, 1), ("promoted", 1, 2)]


def require_sound(gate: Gate, *champions: int) -> None:
    """One of these is the champion, and after the next command ledger and registry agree on it."""
    before = champion(gate)
    assert before in champions
    with gate.alone():
        pass
    assert champion(gate) == before
    assert audit(gate.client, NAME, History(gate.ledger.entries(NAME))) == []
    assert gate.client.get_registered_model(NAME).tags.keys() == {champion_change.HEAD}
