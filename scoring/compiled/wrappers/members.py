"""The files of several compiled models in one folder: a number begins the names of each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from scoring.compiled import Compiled, load_compiled


def save_members(members: Sequence[Compiled], folder: Path) -> dict[str, str]:
    """Write the files of each member under unique names: MLflow keeps all of them in one folder."""
    saved = dict[str, str]()
    for number, member in enumerate(members):
        subfolder = folder / f"member-{number}"
        subfolder.mkdir()
        for name, path in member.save(subfolder).items():
            saved[f"{number}-{name}"] = str(Path(path).rename(folder / f"{number}-{name}"))
        subfolder.rmdir()
    return saved


def load_members(artifacts: Mapping[str, str], count: int, file: str) -> list[Compiled]:
    """The members that `save_members` wrote.

    Args:
        file: names the file that needs them, for the error.

    Raises:
        ValueError: files of a member are missing.
    """
    loaded = [load_compiled(_files(artifacts, number)) for number in range(count)]
    members = [member for member in loaded if member is not None]
    if len(members) < count:
        raise ValueError(f"{file} needs {count} compiled members, and {len(members)} of them have files")
    return members


def _files(artifacts: Mapping[str, str], number: int) -> dict[str, str]:
    prefix = f"{number}-"
    return {name.removeprefix(prefix): path for name, path in artifacts.items() if name.startswith(prefix)}
