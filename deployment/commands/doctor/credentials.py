"""Credentials of a workspace, as Databricks' SDK finds them, without a request."""

from collections.abc import Iterable
from typing import Any

from databricks.sdk.core import Config

from deployment.commands.doctor.finding import Finding, FindingArea

_AREA = FindingArea("credentials")
LOGIN = "databricks auth login --host https://YOUR-WORKSPACE.cloud.databricks.com"


class OfflineConfig(Config):
    """Configuration of the SDK that asks nobody: neither for a token nor about the host."""

    @classmethod
    def attributes(cls) -> Iterable[Any]:
        """Fields of the SDK's own class; it looks for them in the class at hand alone."""
        return Config.attributes()

    def init_auth(self) -> None:
        """Replace the SDK's requests for a token."""

    def _resolve_host_metadata(self) -> None:
        """Replace the SDK's request to the host."""


def read_configuration() -> tuple[Config | None, list[Finding]]:
    """The SDK's configuration from variables and `.databrickscfg`; None if the SDK refuses it."""
    try:
        return OfflineConfig(), []
    except ValueError as err:
        reason = str(err).partition(". Config:")[0]
        return None, [_AREA.error(f"The SDK refuses the configuration: {reason}.", "databricks auth profiles")]


def check_credentials(config: Config) -> list[Finding]:
    """Host and kind of authentication; whether the workspace accepts them is seen with `--online`."""
    if not config.host:
        return [_AREA.error("Neither DATABRICKS_HOST nor a profile in .databrickscfg names a workspace.", LOGIN)]
    if config.token:
        return [
            _AREA.warning(
                f"A personal access token signs in at {config.host}; a lost token is valid until it expires.",
                f"unset DATABRICKS_TOKEN; {LOGIN}",
            )
        ]
    if bool(config.client_id) != bool(config.client_secret) and config.auth_type in {None, "oauth", "oauth-m2m"}:
        missing = "DATABRICKS_CLIENT_SECRET" if config.client_id else "DATABRICKS_CLIENT_ID"
        return [_AREA.error(f"A service principal signs in at {config.host}, and {missing} is not set.",
                            f"export {missing}=...")]  # fmt: skip
    if config.client_id and config.client_secret:
        return [_AREA.ok(f"The service principal {config.client_id} signs in at {config.host} with OAuth.")]
    kind = config.auth_type or "databricks-cli"
    return [_AREA.ok(f"OAuth ({kind}) signs in at {config.host}.")]
