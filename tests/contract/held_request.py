"""A request that the model `waiting` of the tests' registry holds until a test allows the response."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HeldRequest:
    """The model writes `arrived` for a request, and responds once `response_allowed` exists."""

    arrived: Path
    response_allowed: Path
