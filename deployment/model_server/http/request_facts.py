"""Facts of one request that metrics, the access log and traces read after its response."""

from dataclasses import dataclass

from starlette.types import Scope

_KEY = "request_facts"


@dataclass(slots=True)
class RequestFacts:
    """Facts of one request, filled in while it is handled.

    Attributes:
        served, version: the served entity that was chosen, and its version at that moment.
    """

    served: str = ""
    version: str = ""

    @classmethod
    def of(cls, scope: Scope) -> "RequestFacts":
        """The facts of the request of a scope; copies of the scope share them."""
        facts: RequestFacts | None = scope.get(_KEY)
        if facts is None:
            facts = scope[_KEY] = cls()
        return facts
