"""The git commit of the project."""

import subprocess

from lakehouse.settings import PROJECT

PACKAGES = ("lakehouse", "scoring", "training", "deployment")


def git_commit() -> str:
    """The commit of the project; empty without git or outside a checkout."""
    return _git("rev-parse", "HEAD")


def has_uncommitted_changes() -> bool:
    """True if a file of the packages, use cases included, differs from the commit or is not in it."""
    return bool(_git("status", "--porcelain", "--", *PACKAGES))


def _git(*arguments: str) -> str:
    """Output of a git command; empty without git or outside a checkout."""
    try:
        git = subprocess.run(
            ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return git.stdout.strip() if git.returncode == 0 else ""
