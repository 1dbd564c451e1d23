"""Blends and stacks as candidates, so that they are logged, described, fitted and explained like any other."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count

from training.models import FAMILIES
from training.space.joint_space import FAMILY, Candidate
from training.space.left_out_inputs import hyperparameters, left_out_inputs
from training.space.space import Params, Value

BLEND, WEIGHT, CANDIDATES = "blend", "weight", "candidates"
STACK, FINAL_ESTIMATOR = "stack", "final_estimator"

Members = Sequence[tuple[float, Candidate]]


def blend_candidate(members: Members, candidates: int | None = None) -> Candidate:
    """Combine weighted candidates; parameters carry a member's number: `1.family`, `1.weight`, `1.learning_rate`.

    Args:
        candidates: how many of the best trials the members were chosen from.
    """
    params: dict[str, Value] = {} if candidates is None else {CANDIDATES: candidates}
    for number, (weight, member) in enumerate(members, start=1):
        params |= _named(str(number), member, {WEIGHT: weight})
    return Candidate.of(BLEND, params)


def blend_members(candidate: Candidate) -> Members:
    """Weighted members of a blend; empty for any other candidate.

    >>> half = Candidate("knn", {"n_neighbors": 5})
    >>> blend_members(blend_candidate([(0.75, half), (0.25, Candidate("dummy", {}))]))
    [(0.75, Candidate(family='knn', params={'n_neighbors': 5})), (0.25, Candidate(family='dummy', params={}))]
    """
    if candidate.family != BLEND:
        return []
    return [(float(str(params.pop(WEIGHT))), _candidate_of(params)) for params in _numbered(candidate)]


def stack_candidate(bases: Sequence[Candidate], final_estimator: Candidate) -> Candidate:
    """Put a final estimator on bases; parameters carry the number of a base, or the prefix `final_estimator`."""
    params = _named(FINAL_ESTIMATOR, final_estimator)
    for number, base in enumerate(bases, start=1):
        params |= _named(str(number), base)
    return Candidate.of(STACK, params)


def stack_layers(candidate: Candidate) -> tuple[Sequence[Candidate], Candidate] | None:
    """The bases of a stack and its final estimator; None for any other candidate.

    >>> stack_layers(stack_candidate([Candidate("dummy", {})], Candidate("knn", {"n_neighbors": 5})))
    ([Candidate(family='dummy', params={})], Candidate(family='knn', params={'n_neighbors': 5}))
    """
    if candidate.family != STACK:
        return None
    return [_candidate_of(base) for base in _numbered(candidate)], _candidate_of(_params(candidate, FINAL_ESTIMATOR))


def fitted_parts(candidate: Candidate) -> Iterator[Candidate]:
    """The candidates that are fitted for a candidate: members of a blend, a stack and its bases, or itself."""
    if members := blend_members(candidate):
        for _, member in members:
            yield from fitted_parts(member)
        return
    if layers := stack_layers(candidate):
        yield from layers[0]
    yield candidate


def format_candidate(candidate: Candidate, format_value: Callable[[Value], str]) -> str:
    """Format the hyperparameters of a candidate; a blend or a stack shows each of its parts.

    >>> half, mean = Candidate("knn", {"n_neighbors": 5}), Candidate("dummy", {})
    >>> format_candidate(half, str)
    'n neighbors 5'
    >>> format_candidate(blend_candidate([(0.75, half), (0.25, mean)]), str)
    "0.75 k nearest neighbours (n neighbors 5), 0.25 the labels' mean"
    >>> format_candidate(stack_candidate([mean], half), str)
    "k nearest neighbours (n neighbors 5) on the predictions of: the labels' mean"
    """
    if members := blend_members(candidate):
        return ", ".join(f"{weight:.3g} {_format_part(member, format_value)}" for weight, member in members)
    if layers := stack_layers(candidate):
        bases, final_estimator = ([_format_part(each, format_value) for each in layers[0]], layers[1])
        return f"{_format_part(final_estimator, format_value)} on the predictions of: {', '.join(bases)}"
    return ", ".join(format_params(candidate.params, format_value))


def format_params(params: Params, format_value: Callable[[Value], str]) -> list[str]:
    """Format each hyperparameter and each input that is left out.

    >>> format_params({"n_neighbors": 5, "without.age": True, "without.job": False}, str)
    ['n neighbors 5', 'without age']
    """
    formatted = [f"{name.replace('_', ' ')} {format_value(value)}" for name, value in hyperparameters(params).items()]
    return formatted + [f"without {column}" for column in left_out_inputs(params)]


def _format_part(part: Candidate, format_value: Callable[[Value], str]) -> str:
    name, params = FAMILIES[part.family].display_name, format_candidate(part, format_value)
    return f"{name} ({params})" if params else name


def _named(prefix: str, candidate: Candidate, further: Params | None = None) -> dict[str, Value]:
    """The parameters of a part of an ensemble, with its family and a prefix."""
    named = {FAMILY: candidate.family, **(further or {}), **candidate.params}
    return {f"{prefix}.{name}": value for name, value in named.items()}


def _params(candidate: Candidate, prefix: str) -> dict[str, Value]:
    """The parameters with this prefix, without it."""
    prefix = f"{prefix}."
    return {name.removeprefix(prefix): value for name, value in candidate.params.items() if name.startswith(prefix)}


def _numbered(candidate: Candidate) -> Iterator[dict[str, Value]]:
    """The parameters of each numbered part."""
    for number in count(1):
        if not (params := _params(candidate, str(number))):
            return
        yield params


def _candidate_of(params: dict[str, Value]) -> Candidate:
    return Candidate.of(str(params.pop(FAMILY)), params)
