"""The hooks that this project ships, which are no foreign code."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from scoring.hooks.source import source_of

HOOK_FILES = ("preprocess.py", "postprocess.py")
_PACKAGE = __name__.rpartition(".")[0]
# Digests of texts that the project shipped before: versions with them keep running inside the server.
_EARLIER = frozenset(
    {
        "6fd97f6a75201aa3891b76ef3fcacd15f8e0e8aa9e6c97d37dae5b04b76494d8",  # probability_band without columns
    }
)


def has_foreign_hooks(description: Mapping[str, Any], artifacts: Mapping[str, str]) -> bool:
    """True if a version has a hook that this package does not ship, in exactly the version's words.

    Args:
        description: names of the hooks, see `Hooks.description`.
        artifacts: path of each file of the version by name.
    """
    return any(
        description.get(file) and not _is_shipped(description[file], Path(artifacts[file])) for file in HOOK_FILES
    )


def _is_shipped(name: str, file: Path) -> bool:
    module = name.partition(":")[0]
    if not module.startswith(f"{_PACKAGE}."):
        return False
    text = file.read_text(encoding="utf-8")
    if sha256(text.encode()).hexdigest() in _EARLIER:
        return True
    try:
        return text == source_of(module)
    except ImportError:
        return False
