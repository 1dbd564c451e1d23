"""One space for all engines: conditions hold, values keep their types, a grid is counted before its first trial."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log10

import hyperopt
import numpy as np
import pytest

from training.models import FAMILIES, SEARCHED
from training.search.engines.factory import proposer
from training.search.engines.hyperopt import Algorithm, algorithm, hyperopt_space, to_candidate, to_result
from training.space.joint_space import Candidate, JointSpace
from training.space.space import Choice, Dimension, Float, Int, SpaceRefused, When, is_active, require_valid
from training.use_case.narrowing import Range, joint_space
from training.use_case.search import SearchPlan
from training.use_case.search_words import Engine, Method

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


def proposed(
    engine: Engine, method: Method, trials: int, seed: int = 5, initial: Sequence[Candidate] = DEFAULTS
) -> list[Candidate]:
    space = replace(SPACE, initial=tuple(initial))
    proposals = proposer(space, method=method, engine=engine, max_evals=500, seed=seed)
    candidates = []
    for number in range(1, trials + 1):
        candidate = proposals.ask(number)
        assert candidate is not None
        candidates.append(candidate)
        proposals.tell(number, loss(candidate))
    return candidates


def require_inside(candidate: Candidate) -> None:
    space = SPACE.families[candidate.family]
    assert list(candidate.params) == sorted(name for name in space if is_active(space, candidate.params, name))
    for name, value in candidate.params.items():
        dimension = space[name]
        if isinstance(dimension, Choice):
            assert [type(value), value] in [[type(known), known] for known in dimension.values]
        else:
            assert type(value) is (int if isinstance(dimension, Int) else float)
            assert dimension.low <= float(str(value)) <= dimension.high


@pytest.mark.parametrize(("engine", "method"), LEARNING)
def test_every_engine_stays_inside_and_tries_every_branch(engine: Engine, method: Method) -> None:
    candidates = proposed(engine, method, 60)
    for candidate in candidates:
        require_inside(candidate)
    tried = {(c.family, name) for c in candidates for name in c.params}
    assert tried == {(family, name) for family, space in SPACE.families.items() for name in space}
    assert any(c.family == "line" and "share" not in c.params for c in candidates)
    assert any(c.params.get("draws") == 7 and "extra" in c.params for c in candidates)
    assert candidates == proposed(engine, method, 60)
    assert candidates != proposed(engine, method, 60, seed=6)


@pytest.mark.parametrize("engine", ["hyperopt", "optuna"])
def test_tpe_learns_and_random_does_not(engine: Engine) -> None:
    late = [loss(c) for c in proposed(engine, "tpe", 80)[40:]]
    drawn = [loss(c) for c in proposed(engine, "random", 80)[40:]]
    assert np.median(late) < np.median(drawn)


def tried_by_fmin(algo: Algorithm) -> list[Candidate]:
    tried: list[Candidate] = []

    def objective(drawn: dict[str, object]) -> dict[str, object]:
        tried.append(to_candidate(drawn))
        return to_result(loss(tried[-1]))

    hyperopt.fmin(
        objective,
        hyperopt_space(SPACE),
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
    tried = tried_by_fmin(algorithm(replace(SPACE, initial=tuple(DEFAULTS)), method))
    assert proposed("hyperopt", method, 45) == tried


def test_without_initial_points_proposals_are_those_of_hyperopt() -> None:
    assert proposed("hyperopt", "tpe", 45, initial=[]) == tried_by_fmin(hyperopt.tpe.suggest)


@pytest.mark.parametrize(("engine", "method"), LEARNING)
def test_initial_points_are_proposed_first_with_every_seed(engine: Engine, method: Method) -> None:
    far = Candidate("tree", {"depth": 4, "bagging": False})
    for seed in (5, 6):
        first, second, third, *_ = proposed(engine, method, 4, seed, [*DEFAULTS, far])
        assert [(c.family, c.params) for c in (first, second, third)] == [
            (c.family, c.params) for c in (*DEFAULTS, far)
        ]


@pytest.mark.parametrize("engine", ["hyperopt", "optuna"])
def test_tpe_learns_from_the_initial_points(engine: Engine) -> None:
    """The l2 points are better, so that TPE proposes more of them."""
    points = [("l2", 1.0), ("l1", 10.0)] * 15
    initial = [Candidate("line", {"penalty": penalty, "strength": c, "width": 9}) for penalty, c in points]
    learned = [c.params.get("penalty") for c in proposed(engine, "tpe", 50, initial=initial)[30:]]
    assert learned.count("l2") > 2 * learned.count("l1") + 5


def test_defaults_are_the_first_value_or_the_middle_of_the_narrowed_range() -> None:
    assert [dict(SPACE.default(family).params) for family in ("line", "tree")] == [
        {"penalty": "l1", "strength": 0.1, "width": 32},
        {"bagging": True, "depth": 3, "draws": None, "rows": 0.75},
    ]
    narrowed = {"knn": {"n_neighbors": {"high": 50}, "weights": ["distance"]}}
    search = SearchPlan.model_validate({"families": ["lightgbm", "knn"], "space": narrowed, "leave_out": ["age"]})
    lightgbm, knn = search.joint_space().initial
    assert (lightgbm.family, knn.params["n_neighbors"], knn.params["weights"]) == ("lightgbm", 16, "distance")
    assert (lightgbm.params["learning_rate"], lightgbm.params["without.age"]) == (0.0632, False)
    assert (Float(0.12341, 0.12342).default, Float(1, 2).default) == (0.12341, 1.5)


def test_cheap_families_are_tried_first() -> None:
    plan = SearchPlan.model_validate({"families": ["catboost", "knn", "logistic_regression", "lightgbm"]})
    assert [c.family for c in plan.joint_space().initial] == ["logistic_regression", "lightgbm", "knn", "catboost"]
    assert all(FAMILIES[name].cost > 0 for name in SEARCHED)


def test_the_size_of_a_grid_is_its_number_of_points() -> None:
    points = list(SPACE.grid())
    assert [sum(c.family == family for c in points) for family in SPACE.families] == [60, 33]
    assert {family: SPACE.size(family) for family in SPACE.families} == {"line": 60, "tree": 33}
    assert len({str(c) for c in points}) == len(points)
    for candidate in points:
        require_inside(candidate)


def test_a_grid_proposes_its_points_and_then_none() -> None:
    grid = proposer(SPACE, method="grid", engine="hyperopt", max_evals=93, seed=0)
    assert [grid.ask(number) for number in range(1, 95)] == [*SPACE.grid(), None]


def test_a_grid_above_the_limit_is_refused_with_its_size() -> None:
    with pytest.raises(SpaceRefused, match=r"the grid has 93 points \(line 60, tree 33\), and max_evals is 92"):
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
    ("declared", "message"),
    [
        (
            lambda: require_valid({"a": Int(1, 2, when=When("b", (1,)))}),
            "depends on 'b', which is not an earlier choice",
        ),
        (lambda: require_valid({"b": Int(1, 9), "a": Int(1, 2, when=When("b", (1,)))}), "is not an earlier choice"),
        (
            lambda: require_valid({"b": Choice((1,)), "a": Int(1, 2, when=When("b", (2,)))}),
            "b being 2, which it never is",
        ),
        (lambda: require_valid({"b": Choice((1,)), "a": Int(1, 2, when=When("b", ()))}), "depends on no value of b"),
        (lambda: Int(1, 5, points=1), "at least 2 points of a range, not 1"),
        (lambda: Choice(("a", "b", "a")), "has a value twice: a, b, a"),
        (lambda: Float(1, float("nan")), "bound 1 is not below the upper bound nan"),
    ],
)
def test_an_invalid_space_is_refused(declared: Callable[[], object], message: str) -> None:
    with pytest.raises(SpaceRefused, match=message):
        declared()


def test_a_use_case_narrows_ranges_and_values() -> None:
    space = joint_space(("knn",), {"knn": {"n_neighbors": Range(high=50, points=2), "weights": ("uniform",)}})
    knn = space.families["knn"]
    assert (knn["n_neighbors"], knn["weights"]) == (Int(5, 50, log=True, points=2), Choice(("uniform",)))
    assert {name for name in knn if knn[name] != FAMILIES["knn"].space[name]} == {"n_neighbors", "weights"}


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "catboost"])
def test_the_limit_of_boosting_rounds_is_searched_only_if_the_use_case_names_it(family: str) -> None:
    assert "max_rounds" not in joint_space((family,), {}).families[family]
    named = joint_space((family,), {family: {"max_rounds": (1000,)}})
    assert named.families[family]["max_rounds"] == Choice((1000,))
    assert named.default(family).params["max_rounds"] == 1000
    ranged = joint_space((family,), {family: {"max_rounds": Range(high=2000)}}).families[family]
    assert ranged["max_rounds"] == Int(50, 2000, log=True)


def test_a_family_without_boosting_rounds_refuses_their_limit() -> None:
    with pytest.raises(SpaceRefused, match="knn has no dimension 'max_rounds'"):
        joint_space(("knn",), {"knn": {"max_rounds": (1000,)}})


def test_a_list_may_have_other_numbers_than_the_declared_ones() -> None:
    listed = {"recency_half_life_days": (None, 90, 0.5), "inverse_regularization": (20, 0.5, None)}
    space = joint_space(("logistic_regression",), {"logistic_regression": listed}).families["logistic_regression"]
    assert {name: space[name] for name in listed} == {name: Choice(values) for name, values in listed.items()}


def test_without_classes_there_are_no_class_weights() -> None:
    families = ["random_forest", "lightgbm", "xgboost"]
    for metric, weighted in (("mse", False), ("roc_auc", True)):
        spaces = SearchPlan.model_validate({"families": families, "metric": metric}).joint_space().families
        assert [("class_weight" in spaces[name]) for name in families] == [weighted] * 3
    narrowed = {"families": families, "metric": "mse", "space": {"xgboost": {"class_weight": [None]}}}
    with pytest.raises(ValueError, match="has no dimension 'class_weight'"):
        SearchPlan.model_validate(narrowed)


def test_recency_weights_are_left_out_on_request_or_for_rows_of_one_time() -> None:
    declared = {"families": ["logistic_regression", "lightgbm", "knn"], "metric": "log_loss"}
    narrowed = {"space": {"lightgbm": {"recency_half_life_days": [30], "num_leaves": [7]}}}
    plan = SearchPlan.model_validate({**declared, **narrowed})
    assert "recency_half_life_days" in plan.joint_space().families["logistic_regression"]
    for without in (plan.without_recency(), SearchPlan.model_validate({**declared, "recency_weights": False})):
        space = without.joint_space()
        assert all("recency_half_life_days" not in dimensions for dimensions in space.families.values())
        assert all("recency_half_life_days" not in candidate.params for candidate in space.initial)
    assert plan.without_recency().joint_space().families["lightgbm"]["num_leaves"] == Choice((7,))


def test_dimensions_whose_condition_cannot_hold_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert replace(SPACE, initial=tuple(DEFAULTS)).fingerprint() != SPACE.fingerprint()
