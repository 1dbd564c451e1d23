"""Facts of one request that metrics, the access log and traces read after its response."""

from dataclasses import dataclass

from starlette.types import Scope

_KEY = "request_facts"


@dataclass(slots=True)
class RequestFacts:
    """Facts of one request, filled in while it is handled.

    Attributes:
        id: identifier of the request, if something records it.
        caller: name of the caller; empty until its token is known.
        served, version: the served entity that was chosen, and its version at that moment.
        read_from, parsed, scored: nanoseconds since 1970 at which reading began, and at which parsing and scoring
            ended; 0 if they did not.
    """

    id: str = ""
    caller: str = ""
    endpoint: str = ""
    served: str = ""
    version: str = ""
    rows: int = 0
    read_from: int = 0
    parsed: int = 0
    scored: int = 0

    @classmethod
    def of(cls, scope: Scope) -> "RequestFacts":
        """The facts of the request of a scope; copies of the scope share them."""
        facts: RequestFacts | None = scope.get(_KEY)
        if facts is None:
            facts = scope[_KEY] = cls()
        return facts
