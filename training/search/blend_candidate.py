"""A blend as a candidate, so that it is logged, resumed, described, refitted and explained like any other."""

from collections.abc import Callable, Sequence
from itertools import count

from training.models import FAMILIES
from training.space.joint_space import FAMILY, Candidate
from training.space.left_out_inputs import hyperparameters, left_out_inputs
from training.space.space import Params, Value

BLEND, WEIGHT, CANDIDATES = "blend", "weight", "candidates"

Members = Sequence[tuple[float, Candidate]]


def blend_candidate(members: Members, candidates: int | None = None) -> Candidate:
    """Combine weighted candidates; parameters carry a member's number: `1.family`, `1.weight`, `1.learning_rate`.

    Args:
        candidates: how many of the best trials the members were chosen from.
    """
    params: dict[str, Value] = {} if candidates is None else {CANDIDATES: candidates}
    for number, (weight, member) in enumerate(members, start=1):
        numbered = {FAMILY: member.family, WEIGHT: weight, **member.params}
        params |= {f"{number}.{name}": value for name, value in numbered.items()}
    return Candidate.of(BLEND, params)


def blend_members(candidate: Candidate) -> Members:
    """Weighted members of a blend; empty for any other candidate.

    >>> half = Candidate("knn", {"n_neighbors": 5})
    >>> blend_members(blend_candidate([(0.75, half), (0.25, Candidate("dummy", {}))]))
    [(0.75, Candidate(family='knn', params={'n_neighbors': 5})), (0.25, Candidate(family='dummy', params={}))]
    """
    if candidate.family != BLEND:
        return []
    members: list[tuple[float, Candidate]] = []
    for number in count(1):
        prefix = f"{number}."
        params = {
            name.removeprefix(prefix): value for name, value in candidate.params.items() if name.startswith(prefix)
        }
        if not params:
            break
        weight, family = params.pop(WEIGHT), params.pop(FAMILY)
        members.append((float(str(weight)), Candidate.of(str(family), params)))
    return members


def format_candidate(candidate: Candidate, format_value: Callable[[Value], str]) -> str:
    """Format the hyperparameters of a candidate; a blend shows each member with its weight.

    >>> half = Candidate("knn", {"n_neighbors": 5})
    >>> format_candidate(half, str)
    'n neighbors 5'
    >>> format_candidate(blend_candidate([(0.75, half), (0.25, Candidate("dummy", {}))]), str)
    "0.75 k nearest neighbours (n neighbors 5), 0.25 the labels' mean"
    """
    if members := blend_members(candidate):
        return ", ".join(_format_member(weight, member, format_value) for weight, member in members)
    return ", ".join(format_params(candidate.params, format_value))


def format_params(params: Params, format_value: Callable[[Value], str]) -> list[str]:
    """Format each hyperparameter and each input that is left out.

    >>> format_params({"n_neighbors": 5, "without.age": True, "without.job": False}, str)
    ['n neighbors 5', 'without age']
    """
    formatted = [f"{name.replace('_', ' ')} {format_value(value)}" for name, value in hyperparameters(params).items()]
    return formatted + [f"without {column}" for column in left_out_inputs(params)]


def _format_member(weight: float, member: Candidate, format_value: Callable[[Value], str]) -> str:
    name, params = FAMILIES[member.family].display_name, format_candidate(member, format_value)
    return f"{weight:.3g} {name} ({params})" if params else f"{weight:.3g} {name}"
