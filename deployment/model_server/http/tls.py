"""The files of TLS, looked at before anybody relies on them: what reads them later names none of them."""

import ssl
from pathlib import Path

from lakehouse.errors import LakehouseError


class CertificateUnusable(LakehouseError):
    """A file of TLS is missing, or is not what it should be."""


def check_identity(certificate: Path, key: Path) -> None:
    """Pass if a server can prove by these files who it is.

    Raises:
        CertificateUnusable: one is missing or no PEM file, the key has a password, or they do not belong together.
    """
    try:
        # An empty password, or OpenSSL would ask the terminal for one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except OSError as err:
        raise CertificateUnusable(
            f"the certificate {_there(certificate)} and the key {_there(key)} cannot be used: {err.strerror or err}",
            hint="Name PEM files that belong together, the key without a password: MODEL_SERVER_CERTIFICATE, "
            "MODEL_SERVER_KEY.",
        ) from err


def trusting(authority: Path) -> ssl.SSLContext:
    """What a client trusts that trusts this authority.

    Raises:
        CertificateUnusable: the file is missing or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=authority)
    except OSError as err:
        raise CertificateUnusable(
            f"the certificate {_there(authority)} cannot be trusted: {err.strerror or err}",
            hint="Name a PEM file of who signed the server's certificate: MODEL_SERVER_AUTHORITY, or where it signed "
            "itself, MODEL_SERVER_CERTIFICATE.",
        ) from err


def _there(file: Path) -> str:
    return str(file) if file.is_file() else f"{file} (which is no file)"
