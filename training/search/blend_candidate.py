"""A blend of candidates as one candidate: as such it is logged, resumed, described, refitted and explained."""

from collections.abc import Callable, Sequence
from itertools import count

from training.models import FAMILIES
from training.space.joint_space import FAMILY, Candidate
from training.space.left_out_inputs import left_out, others
from training.space.space import Params, Value

BLEND, WEIGHT = "blend", "weight"

Members = Sequence[tuple[float, Candidate]]


def blended(members: Members) -> Candidate:
    """Candidates with their weights as one, each under its number: `1.family`, `1.weight`, `1.learning_rate`."""
    params: dict[str, Value] = {}
    for place, (weight, member) in enumerate(members, start=1):
        said = {FAMILY: member.family, WEIGHT: weight, **member.params}
        params |= {f"{place}.{name}": value for name, value in said.items()}
    return Candidate.of(BLEND, params)


def members(candidate: Candidate) -> Members:
    """What `blended` made one of; nothing of another candidate.

    >>> members(blended([(0.75, Candidate("knn", {"n_neighbors": 5})), (0.25, Candidate("dummy", {}))]))
    [(0.75, Candidate(family='knn', params={'n_neighbors': 5})), (0.25, Candidate(family='dummy', params={}))]
    """
    if candidate.family != BLEND:
        return []
    found: list[tuple[float, Candidate]] = []
    for place in count(1):
        said = {
            name.removeprefix(f"{place}."): value
            for name, value in candidate.params.items()
            if name.startswith(f"{place}.")
        }
        if not said:
            break
        weight, family = said.pop(WEIGHT), said.pop(FAMILY)
        found.append((float(str(weight)), Candidate.of(str(family), said)))
    return found


def in_words(candidate: Candidate, shown: Callable[[Value], str]) -> str:
    """What it was fitted with; of a blend the weight of each member and what that was fitted with.

    >>> half = Candidate("knn", {"n_neighbors": 5})
    >>> in_words(half, str), in_words(blended([(0.75, half), (0.25, Candidate("dummy", {}))]), str)
    ('n neighbors 5', "0.75 k nearest neighbours (n neighbors 5), 0.25 the labels' mean")
    """
    if parts := members(candidate):
        told = [(weight, FAMILIES[member.family].title, in_words(member, shown)) for weight, member in parts]
        return ", ".join(
            f"{weight:.3g} {title} ({params})" if params else f"{weight:.3g} {title}"
            for weight, title, params in told
        )
    return ", ".join(each_in_words(candidate.params, shown))


def each_in_words(params: Params, shown: Callable[[Value], str]) -> list[str]:
    """Each hyperparameter; of the inputs that may be left out those that are.

    >>> each_in_words({"n_neighbors": 5, "without.age": True, "without.job": False}, str)
    ['n neighbors 5', 'without age']
    """
    told = [f"{name.replace('_', ' ')} {shown(value)}" for name, value in others(params).items()]
    return told + [f"without {column}" for column in left_out(params)]
