"""One space for all engines: conditions hold, values have their types, a grid is counted before it is walked."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log10

import hyperopt
import numpy as np
import pytest

from training.models import FAMILIES, SEARCHED
from training.search.engines.factory import proposer
from training.search.engines.hyperopt import Algorithm, algorithm, expression, point, result
from training.space.joint_space import Candidate, JointSpace
from training.space.space import Choice, Dimension, Float, Int, SpaceRefused, When, check, present
from training.use_case.narrowing import Range, joint_space
from training.use_case.search import Engine, Method, SearchPlan

SPACE = JointSpace(
    {
        "line": {
            "penalty": Choice(("l1", "l2", "elastic")),
            "share": Float(0, 1, when=When("penalty", ("elastic",))),
            "strength": Float(1e-3, 10, log=True),
            "width": Int(1, 1000, log=True, points=4),
        },
        "tree": {
            "depth": Int(2, 4),
            "bagging": Choice((True, False)),
            "rows": Float(0.5, 1, when=When("bagging", (True,)), points=2),
            "draws": Choice((None, "with", 7), when=When("bagging", (True,))),
            "extra": Int(1, 5, when=When("draws", ("with", 7)), points=2),
        },
    }
)
DEFAULTS = [SPACE.default("tree"), SPACE.default("line")]
LEARNING: list[tuple[Engine, Method]] = [
    ("hyperopt", "tpe"),
    ("hyperopt", "random"),
    ("optuna", "tpe"),
    ("optuna", "random"),
]


def loss(candidate: Candidate) -> float:
    if candidate.family == "tree":
        return 2.0 if candidate.params["bagging"] else float("inf")
    return abs(log10(float(str(candidate.params["strength"])))) + (candidate.params["penalty"] != "l2")


def asked(
    engine: Engine, method: Method, trials: int, seed: int = 5, known: Sequence[Candidate] = DEFAULTS
) -> list[Candidate]:
    space = replace(SPACE, known=tuple(known))
    told = proposer(space, method=method, engine=engine, max_evals=500, seed=seed)
    candidates = []
    for number in range(1, trials + 1):
        candidate = told.ask(number)
        assert candidate is not None
        candidates.append(candidate)
        told.tell(number, loss(candidate))
    return candidates


def require_inside(candidate: Candidate) -> None:
    space = SPACE.families[candidate.family]
    assert list(candidate.params) == sorted(name for name in space if present(space, candidate.params, name))
    for name, value in candidate.params.items():
        dimension = space[name]
        if isinstance(dimension, Choice):
            assert [type(value), value] in [[type(known), known] for known in dimension.values]
        else:
            assert type(value) is (int if isinstance(dimension, Int) else float)
            assert dimension.low <= float(str(value)) <= dimension.high


@pytest.mark.parametrize(("engine", "method"), LEARNING)
def test_every_engine_stays_inside_and_tries_every_branch(engine: Engine, method: Method) -> None:
    candidates = asked(engine, method, 60)
    for candidate in candidates:
        require_inside(candidate)
    said = {(c.family, name) for c in candidates for name in c.params}
    assert said == {(family, name) for family, space in SPACE.families.items() for name in space}
    assert any(c.family == "line" and "share" not in c.params for c in candidates)
    assert any(c.params.get("draws") == 7 and "extra" in c.params for c in candidates)
    assert candidates == asked(engine, method, 60)
    assert candidates != asked(engine, method, 60, seed=6)


@pytest.mark.parametrize("engine", ["hyperopt", "optuna"])
def test_tpe_learns_and_random_does_not(engine: Engine) -> None:
    late = [loss(c) for c in asked(engine, "tpe", 80)[40:]]
    drawn = [loss(c) for c in asked(engine, "random", 80)[40:]]
    assert np.median(late) < np.median(drawn)


def tried_by_fmin(algo: Algorithm) -> list[Candidate]:
    tried: list[Candidate] = []

    def objective(drawn: dict[str, object]) -> dict[str, object]:
        tried.append(point(drawn))
        return result(loss(tried[-1]))

    hyperopt.fmin(
        objective,
        expression(SPACE),
        algo=algo,
        max_evals=45,
        rstate=np.random.default_rng(5),
        show_progressbar=False,
        return_argmin=False,
        verbose=False,
    )
    return tried


@pytest.mark.parametrize("method", ["tpe", "random"])
def test_hyperopt_proposes_what_its_fmin_does(method: Method) -> None:
    tried = tried_by_fmin(algorithm(replace(SPACE, known=tuple(DEFAULTS)), method))
    assert asked("hyperopt", method, 45) == tried


def test_without_known_points_it_is_the_method_of_hyperopt() -> None:
    assert asked("hyperopt", "tpe", 45, known=[]) == tried_by_fmin(hyperopt.tpe.suggest)


@pytest.mark.parametrize(("engine", "method"), LEARNING)
def test_known_points_are_proposed_first_and_by_every_seed(engine: Engine, method: Method) -> None:
    far = Candidate("tree", {"depth": 4, "bagging": False})
    for seed in (5, 6):
        first, second, third, *_ = asked(engine, method, 4, seed, [*DEFAULTS, far])
        assert [(c.family, c.params) for c in (first, second, third)] == [
            (c.family, c.params) for c in (*DEFAULTS, far)
        ]


@pytest.mark.parametrize("engine", ["hyperopt", "optuna"])
def test_tpe_learns_from_the_known_points(engine: Engine) -> None:
    """Of them those by l2 are the better ones: it is what is proposed from then on."""
    points = [("l2", 1.0), ("l1", 10.0)] * 15
    known = [Candidate("line", {"penalty": penalty, "strength": c, "width": 9}) for penalty, c in points]
    learned = [c.params.get("penalty") for c in asked(engine, "tpe", 50, known=known)[30:]]
    assert learned.count("l2") > 2 * learned.count("l1") + 5


def test_a_default_is_the_first_value_and_the_middle_and_inside_of_what_was_narrowed() -> None:
    assert [dict(SPACE.default(family).params) for family in ("line", "tree")] == [
        {"penalty": "l1", "strength": 0.1, "width": 32},
        {"bagging": True, "depth": 3, "draws": None, "rows": 0.75},
    ]
    said = {"knn": {"n_neighbors": {"high": 50}, "weights": ["distance"]}}
    search = SearchPlan.model_validate({"families": ["lightgbm", "knn"], "space": said, "leave_out": ["age"]})
    lightgbm, knn = search.joint_space().known
    assert (lightgbm.family, knn.params["n_neighbors"], knn.params["weights"]) == ("lightgbm", 16, "distance")
    assert (lightgbm.params["learning_rate"], lightgbm.params["without.age"]) == (0.0632, False)
    assert (Float(0.12341, 0.12342).default, Float(1, 2).default) == (0.12341, 1.5)


def test_the_cheap_families_are_tried_before_the_dear_ones() -> None:
    plan = SearchPlan.model_validate({"families": ["catboost", "knn", "logistic_regression", "lightgbm"]})
    assert [c.family for c in plan.joint_space().known] == ["logistic_regression", "lightgbm", "knn", "catboost"]
    assert all(FAMILIES[name].cost > 0 for name in SEARCHED)


def test_a_grid_is_counted_as_it_is_walked() -> None:
    points = list(SPACE.grid())
    assert [sum(c.family == family for c in points) for family in SPACE.families] == [60, 33]
    assert {family: SPACE.size(family) for family in SPACE.families} == {"line": 60, "tree": 33}
    assert len({str(c) for c in points}) == len(points)
    for candidate in points:
        require_inside(candidate)


def test_a_grid_proposes_its_points_and_then_nothing() -> None:
    grid = proposer(SPACE, method="grid", engine="hyperopt", max_evals=93, seed=0)
    assert [grid.ask(number) for number in range(1, 95)] == [*SPACE.grid(), None]


def test_a_grid_above_the_limit_is_refused_with_its_size() -> None:
    with pytest.raises(SpaceRefused, match=r"the grid has 93 points \(line 60, tree 33\), and max_evals allows 92"):
        proposer(SPACE, method="grid", engine="hyperopt", max_evals=92, seed=0)


@pytest.mark.parametrize(
    ("dimension", "grid"),
    [
        (Int(1, 3, points=9), (1, 2, 3)),
        (Int(1, 1000, log=True, points=4), (1, 10, 100, 1000)),
        (Float(0, 1), (0, 0.5, 1)),
        (Float(0.01, 100, log=True), (0.01, 1.0, 100)),
        (Choice((None, "a")), (None, "a")),
    ],
)
def test_the_points_of_a_dimension(dimension: Dimension, grid: tuple[object, ...]) -> None:
    assert dimension.grid == pytest.approx(grid) if not isinstance(dimension, Choice) else dimension.grid == grid


@pytest.mark.parametrize(
    "dimension", [Int(1, 900, log=True), Float(1e-9, 3, log=True), Choice((None, 7, 0.1, "x", True))]
)
def test_a_value_reads_back_with_its_type(dimension: Dimension) -> None:
    for value in (*dimension.grid, *(() if not isinstance(dimension, Float) else (0.1 + 0.2,))):
        back = dimension.read(str(value))
        assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (lambda: check({"a": Int(1, 2, when=When("b", (1,)))}), "depends on 'b', which is no choice before it"),
        (lambda: check({"b": Int(1, 9), "a": Int(1, 2, when=When("b", (1,)))}), "is no choice before it"),
        (lambda: check({"b": Choice((1,)), "a": Int(1, 2, when=When("b", (2,)))}), "b to be 2, which it never is"),
        (lambda: check({"b": Choice((1,)), "a": Int(1, 2, when=When("b", ()))}), "waits for no value of b"),
        (lambda: Int(1, 5, points=1), "at least 2 points of a range, and not 1"),
        (lambda: Choice(("a", "b", "a")), "has a value twice: a, b, a"),
        (lambda: Float(1, float("nan")), "bound 1 is not below the upper bound nan"),
    ],
)
def test_a_space_that_cannot_be_is_refused(declared: Callable[[], object], told: str) -> None:
    with pytest.raises(SpaceRefused, match=told):
        declared()


def test_a_use_case_narrows_ranges_and_values() -> None:
    space = joint_space(("knn",), {"knn": {"n_neighbors": Range(high=50, points=2), "weights": ("uniform",)}})
    knn = space.families["knn"]
    assert (knn["n_neighbors"], knn["weights"]) == (Int(5, 50, log=True, points=2), Choice(("uniform",)))
    assert {name for name in knn if knn[name] != FAMILIES["knn"].space[name]} == {"n_neighbors", "weights"}


def test_a_list_may_have_other_numbers_than_the_declared_ones() -> None:
    listed = {"recency_half_life_days": (None, 90, 0.5), "inverse_regularization": (20, 0.5, None)}
    space = joint_space(("logistic_regression",), {"logistic_regression": listed}).families["logistic_regression"]
    assert {name: space[name] for name in listed} == {name: Choice(values) for name, values in listed.items()}


def test_where_there_are_no_classes_none_is_weighted() -> None:
    families = ["random_forest", "lightgbm", "xgboost"]
    for metric, weighs in (("mse", False), ("roc_auc", True)):
        spaces = SearchPlan.model_validate({"families": families, "metric": metric}).joint_space().families
        assert [("class_weight" in spaces[name]) for name in families] == [weighs] * 3
    narrowed = {"families": families, "metric": "mse", "space": {"xgboost": {"class_weight": [None]}}}
    with pytest.raises(ValueError, match="has no dimension 'class_weight'"):
        SearchPlan.model_validate(narrowed)


def test_what_can_no_longer_be_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = replace(FAMILIES["random_forest"], name="tree", space=SPACE.families["tree"])
    monkeypatch.setattr("training.use_case.narrowing.FAMILIES", {"tree": tree})
    assert list(joint_space(("tree",), {"tree": {"bagging": (False,)}}).families["tree"]) == ["depth", "bagging"]
    kept = joint_space(("tree",), {"tree": {"draws": ("with", None)}}).families["tree"]
    assert kept["extra"].when == When("draws", ("with",))


def test_spaces_have_one_fingerprint_if_and_only_if_they_are_equal() -> None:
    same = JointSpace({family: dict(space) for family, space in SPACE.families.items()})
    assert same.fingerprint() == SPACE.fingerprint()
    for changed in (Int(2, 5), Int(2, 4, log=True), Int(2, 4, points=2), Float(2, 4)):
        other = JointSpace({**SPACE.families, "tree": {**SPACE.families["tree"], "depth": changed}})
        assert other.fingerprint() != SPACE.fingerprint()
    assert replace(SPACE, known=tuple(DEFAULTS)).fingerprint() != SPACE.fingerprint()
