"""The git commit of the project."""

import subprocess

from lakehouse.settings import PROJECT


def git_commit() -> str:
    """The commit of the project; empty without git or outside a checkout."""
    try:
        git = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return git.stdout.strip() if git.returncode == 0 else ""
