"""The limit on open connections, taken from the system's limit on open files.

The HTTP server stops accepting at its limit, and an idle connection counts until its timeout. A small limit therefore
lets anyone without a token block all callers. A limit above that of the system leaves no file for models and logs.
"""

import logging
import resource
from contextlib import suppress

LOG = logging.getLogger(__name__)
MAX_CONNECTIONS = 8192  # an idle one takes about 10 KiB
RESERVED_FILES = 256  # for models, tables, logs and the event loop
UNKNOWN_CALLER_SECONDS = 5.0  # to send the rest of a body after the request was refused for its token


def connection_limit() -> int:
    """Number of connections that the server may hold; raises the limit on open files as far as it may.

    Half of a limit below 512 stays reserved.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + RESERVED_FILES
    if 0 <= soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # some systems allow less than their hard limit says
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    limit = MAX_CONNECTIONS if soft < 0 else connections_within(soft)
    if limit < MAX_CONNECTIONS:
        LOG.warning(
            "the server accepts %s connections instead of %s: the limit on open files is %s (ulimit -n, LimitNOFILE)",
            limit, MAX_CONNECTIONS, soft,
        )  # fmt: skip
    return limit


def connections_within(files: int) -> int:
    """Number of connections that a limit on open files admits.

    >>> connections_within(1024), connections_within(256), connections_within(1_000_000)
    (768, 128, 8192)
    """
    return max(1, min(MAX_CONNECTIONS, files - min(RESERVED_FILES, files // 2)))
