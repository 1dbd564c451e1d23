"""An empty application on the HTTP server of the model server: `python -m benchmarks.harness.empty_server PORT`."""

import asyncio
import signal
import sys
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from starlette.types import Receive, Scope, Send

from deployment.model_server.http.responses import send_json


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body and answer `{}`."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body", False):
        pass
    await send_json(send, 200, b"{}")


async def listen(port: int) -> None:
    """Serve until SIGTERM arrives."""
    server: Any = Server(
        answer, address="127.0.0.1", port=port, interface=Interfaces.ASGI, http=HTTPModes.http1, log_enabled=False
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(listen(int(sys.argv[1])))
