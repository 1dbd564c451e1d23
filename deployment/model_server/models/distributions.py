"""The training distribution of each input, from the population that a version brings along, for the try page.

The file is of `training.population`, which the server does not import. A version without the file, or with one of a
later form, has no distributions: they are shown beside a prediction, and no prediction depends on them.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

POPULATION = "population.json"  # name of the artifact
BARS, MOST_CATEGORIES = 20, 20
MANY_BINS = 20  # from so many on, the outer two hold few rows over a wide range, and have no bar

OPEN = 1e300  # bounds beyond it are those of a cohort without an end


def distributions_of(artifacts: Mapping[str, str]) -> dict[str, Any]:
    """By input: `low`, `high` and the `shares` of bars of equal width; or shares by category, most frequent first."""
    path = artifacts.get(POPULATION)
    if path is None:
        return {}
    try:
        population = json.loads(Path(path).read_text(encoding="utf-8"))
        inputs = (
            population.get("training") or population["inputs"]
        )  # the reference rows are the training rows, if alone
        found = {name: _of_column(column["bins"], column["counts"]) for name, column in inputs.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
    return {name: each for name, each in found.items() if each is not None}


def _of_column(bins: Mapping[str, Any], counts: Sequence[float]) -> dict[str, Any] | None:
    if "edges" not in bins:
        total = sum(counts[: len(counts) - 3]) or 1.0
        own = bins["values"][: min(bins["own"], MOST_CATEGORIES)]
        return {
            "shares": {_json_text(value): round(count / total, 4) for value, count in zip(own, counts, strict=False)}
        }
    low, high = _ends(bins)
    bounds = [low, *(min(max(edge, low), high) for edge in bins["edges"]), high]
    return _of_number(bounds, counts[: len(bounds) - 1])


def _ends(bins: Mapping[str, Any]) -> tuple[float, float]:
    """The ends of the outer bins; those of a cohort are open, and get the mean width of the others."""
    edges, low, high = bins["edges"], bins["low"], bins["high"]
    width = (edges[-1] - edges[0]) / (len(edges) - 1) if len(edges) > 1 else abs(edges[0]) or 1.0
    return (
        low if low > -OPEN else edges[0] - width if edges[0] <= 0 else max(edges[0] - width, 0.0),
        high if high < OPEN else edges[-1] + width,
    )


def _of_number(bounds: Sequence[float], counts: Sequence[float]) -> dict[str, Any] | None:
    """Bars of equal width; rows count as spread evenly within their bin."""
    total, outer = sum(counts), 1 if len(counts) >= MANY_BINS else 0
    low, high = bounds[outer], bounds[-1 - outer]
    if total <= 0 or high <= low:
        return None
    below = [0.0, *accumulate(counts)]
    edges = [low + (high - low) * index / BARS for index in range(BARS + 1)]
    reached = [_rows_below(bounds, below, edge) for edge in edges]
    reached[-1] = below[len(below) - 1 - outer]
    shares = [round((after - before) / total, 4) for before, after in pairwise(reached)]
    return {"low": low, "high": high, "shares": shares}


def _rows_below(bounds: Sequence[float], below: Sequence[float], value: float) -> float:
    rows = 0.0
    for index in range(len(bounds) - 1):
        start, end = bounds[index], bounds[index + 1]
        if value >= end:
            rows = below[index + 1]
        elif value > start:
            rows = below[index] + (below[index + 1] - below[index]) * (value - start) / (end - start)
    return rows


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
