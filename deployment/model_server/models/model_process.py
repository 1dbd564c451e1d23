"""`python -m deployment.model_server.models.model_process SOCKET LIFELINE`: loads a version with foreign code, and
answers its requests one after the other until the server closes the socket.

`isolation.model_process` starts it.
"""

import faulthandler
import json
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.responses import serialise
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.isolation.frames import ReplyKind, read_message, reply
from deployment.model_server.models.golden_check import GoldenMismatch
from deployment.model_server.models.version_files import VersionFiles, VersionReader
from lakehouse.process_memory import limit_private_memory, resident_memory

Predict = Callable[[ScoringRequest], bytes]


def main(socket_descriptor: int, lifeline: int) -> None:
    """Load the version that the first message describes, then answer requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    threading.Thread(target=_end_with_server, args=(lifeline,), daemon=True).start()
    connection = socket.socket(fileno=socket_descriptor)
    requests = connection.makefile("rb")
    predict, described = _load(read_message(requests))
    connection.sendall(described)
    while predict is not None and (request := read_message(requests)) is not None:
        connection.sendall(_answer(predict, ScoringRequest(*request)))
    sys.stdout.flush()
    os._exit(0)  # threads of foreign code do not keep the process


def _load(description: dict[str, Any]) -> tuple[Predict | None, bytes]:
    """The model and the reply with its schema; without a model, the reply with the reason."""
    uris, online = (description["tracking_uri"], description["registry_uri"]), description["online_tables"]
    try:
        files = VersionFiles.of(Path(description["folder"]), description["registered"])
        model, schema = VersionReader(*uris, Path(online) if online else None).read(files)
        content = json.dumps(asdict(schema)).encode()
        limit_private_memory(description["memory"])
    except BaseException as err:  # noqa: BLE001  (the code of a model may raise anything)
        reason = str(err) if isinstance(err, GoldenMismatch) else f"{type(err).__name__}: {err}"
        failure = json.dumps({"reason": reason, "trace": traceback.format_exc()}).encode()
        return None, reply(ReplyKind.FAILURE, resident_memory(), failure)
    return model.predictions, reply(ReplyKind.RESPONSE, resident_memory(), content)


def _answer(predict: Predict, request: ScoringRequest) -> bytes:
    try:
        kind, content = ReplyKind.RESPONSE, predict(request)
    except ApiError as err:
        kind, content = ReplyKind.REFUSAL, serialise({**err.body(), "status": err.status, "headers": err.headers})
    except BaseException:  # noqa: BLE001  (the code of a model may raise anything)
        kind, content = ReplyKind.FAILURE, traceback.format_exc().encode("utf-8", errors="replace")
    return reply(kind, resident_memory(), content)


def _end_with_server(lifeline: int) -> None:
    """Exit when the server has ended and closed its end of the pipe, even during a request."""
    os.read(lifeline, 1)
    os._exit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
