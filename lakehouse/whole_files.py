"""Files that are written whole or not at all: a reader finds the old content or the new one, never a part."""

import os
from pathlib import Path


def replace_file(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file in place of the one that is there; its folder is created.

    The content is on disk before the file gets its name. After an error, the old file is unchanged.

    Args:
        path: the file; a link stays, and the file that it leads to is replaced.
        content: text in UTF-8, or bytes.
        private: True if only the owner may read the file and a folder that is created.
    """
    path = path.resolve()
    path.parent.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
