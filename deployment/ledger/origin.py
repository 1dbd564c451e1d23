"""Who runs a command, and from which state of the project: what the ledger keeps of it."""

import getpass
import os
import subprocess

from lakehouse.settings import PROJECT


def actor() -> str:
    """The user's name, or its number where a container has no names."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def commit() -> str:
    """The commit that the project stands at; empty where it is no git checkout."""
    try:
        git = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return git.stdout.strip() if git.returncode == 0 else ""
