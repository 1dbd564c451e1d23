"""A page to try an endpoint: one file without any address outside of itself, the same for every endpoint.

It needs no token, since it knows nothing: the browser asks for the OpenAPI document with the token that is typed in.
"""

import base64
import hashlib
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_HTML = Path(__file__).with_name("try.html").read_text(encoding="utf-8")


def _allowed(tag: str) -> str:
    """The one script or style of the page, by its hash: whatever else finds its way in does not run."""
    content = re.search(rf"<{tag}>(.*?)</{tag}>", _HTML, re.DOTALL)
    if content is None:
        raise ValueError(f"try.html has no <{tag}>")
    return f"'sha256-{base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()}'"


_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src {_allowed('script')}; style-src {_allowed('style')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


async def try_page(_: Request) -> Response:
    """The page; it reads the endpoint's name from its own address."""
    return HTMLResponse(_HTML, headers=_HEADERS)
