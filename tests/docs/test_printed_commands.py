"""Every command that a message tells a person to type is one that its own parser accepts."""

import pytest

from lakehouse.settings import PROJECT
from tests.docs.typed_commands import CommandRefused, check, packages, printed_by

PRINTED = sorted({(str(file.relative_to(PROJECT)), line) for file in packages() for line in printed_by(file)})


def test_messages_print_many_commands() -> None:
    assert len(PRINTED) > 30


@pytest.mark.parametrize(("file", "line"), PRINTED)
def test_a_printed_command_is_accepted_by_its_parser(file: str, line: str) -> None:
    check(line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("python -m deployment.run unfreeze --use-case churn", "Missing option '--reason'"),
        ("python -m deployment.run unfreze --use-case churn", "has no command unfreze"),
        ("python -m training.run --use-case churn --max-eval 3", "No such option '--max-eval'"),
        ("python -m training.run --use-case churn --max-evals x", "'x' is not a valid integer"),
        ("python -m training.rum --use-case churn", "no module with a command"),
    ],
)
def test_a_wrong_command_is_refused(line: str, reason: str) -> None:
    with pytest.raises(CommandRefused, match=reason):
        check(line)
