"""TLS files, checked before the server starts: later errors of the TLS libraries do not name the file."""

import ssl
from pathlib import Path

from lakehouse.errors import LakehouseError


class CertificateUnusable(LakehouseError):
    """A TLS file is missing or invalid."""


def check_identity(certificate: Path, key: Path) -> None:
    """Check that a server can use this certificate and key.

    Raises:
        CertificateUnusable: a file is missing or not PEM, the key has a password, or the files do not match.
    """
    try:
        # With no password, OpenSSL would ask for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except OSError as err:
        raise CertificateUnusable(
            f"the certificate {_describe(certificate)} and the key {_describe(key)} cannot be used: "
            f"{err.strerror or err}",
            hint="Set MODEL_SERVER_CERTIFICATE and MODEL_SERVER_KEY to matching PEM files, the key without a "
            "password.",
        ) from err


def trusting(authority: Path) -> ssl.SSLContext:
    """The TLS context of a client that trusts this authority.

    Raises:
        CertificateUnusable: the file is missing or contains no certificate.
    """
    try:
        return ssl.create_default_context(cafile=authority)
    except OSError as err:
        raise CertificateUnusable(
            f"the certificate {_describe(authority)} cannot be trusted: {err.strerror or err}",
            hint="Set MODEL_SERVER_AUTHORITY to the PEM file of the certificate's issuer. For a self-signed "
            "certificate, MODEL_SERVER_CERTIFICATE is enough.",
        ) from err


def _describe(file: Path) -> str:
    return str(file) if file.is_file() else f"{file} (which is no file)"
