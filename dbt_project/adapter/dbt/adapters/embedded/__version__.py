"""The adapter's version, where dbt looks for it."""

from importlib.metadata import version as installed

version = installed("lakehouse-ml")
