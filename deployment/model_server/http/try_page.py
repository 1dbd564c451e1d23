"""The page to try an endpoint: one file for every endpoint, without external resources.

The page itself needs no token and contains no data. The browser fetches the OpenAPI document with the user's token.
"""

import base64
import hashlib
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_HTML = Path(__file__).with_name("try.html").read_text(encoding="utf-8")


def _hash_source(tag: str) -> str:
    """The CSP hash of the page's only script or style, so that no injected code can run."""
    content = re.search(rf"<{tag}>(.*?)</{tag}>", _HTML, re.DOTALL)
    if content is None:
        raise ValueError(f"try.html has no <{tag}>")
    return f"'sha256-{base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()}'"


_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src {_hash_source('script')}; style-src {_hash_source('style')}; "
        "connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


async def try_page(_: Request) -> Response:
    """Serve the page. Its script reads the name of the endpoint from the URL."""
    return HTMLResponse(_HTML, headers=_HEADERS)
