"""The macros of the adapter `embedded`."""

from pathlib import Path

PACKAGE_PATH = str(Path(__file__).parent)
