"""User of a command, as recorded in the ledger."""

import getpass
import os


def actor() -> str:
    """User name, or the user ID where a container has no user names."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
