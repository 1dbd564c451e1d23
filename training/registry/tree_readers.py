"""Readers of fitted trees: each library's model as a `TreeGraph`, with its arithmetic.

| Library | Compares | Missing numbers | Sums leaves in |
|---|---|---|---|
| random forest | float32(x) <= double | each split says | double, divided by the number of trees |
| gradient boosting on histograms | double x <= double | each split says | double, from the baseline on |
| LightGBM | double x <= double; tiny x count as 0 | each split says, or as 0 if the fit had none | double |
| XGBoost | float32(x) < float32 | each split says | float32, from the base score on |
| CatBoost | float32(x) <= float32 | each feature says | double, the bias last |
| Spark ML | double x <= double | refused | double, in the order of the trees |
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoring.compiled.links import single_log_odds
from scoring.compiled.trees import TreesMetadata
from scoring.estimators.spark_trees import LEAF, SparkTrees
from training.registry.tree_graph import LT, Child, TreeGraph, last_left

ReadTrees = tuple[TreeGraph, TreesMetadata]
# LightGBM replaces values up to this distance from 0 by 0.
TINY = float(np.float32(1e-35))


def read_trees(model: Any, columns: int, *, takes_missing: bool = False) -> ReadTrees:
    """The trees of a fitted model that takes so many columns.

    Args:
        takes_missing: True if numbers may be missing.

    Raises:
        ValueError: the model decides or sums in a way that the graph does not express.
    """
    fitted = getattr(model, "model_", model)  # our boosters wrap the library's model
    library = type(fitted).__module__.partition(".")[0]
    kind = "spark" if isinstance(fitted, SparkTrees) else library
    if kind == "sklearn":
        kind = "histogram" if hasattr(fitted, "_predictors") else "forest"
    if kind not in _READERS:
        raise ValueError(f"no reader of trees of {library}")
    graph, metadata = _READERS[kind](fitted, columns)
    graph.takes_missing = takes_missing
    return graph, metadata


def _forest(model: Any, columns: int) -> ReadTrees:
    trees = [each.tree_ for each in model.estimators_]
    classes = len(model.classes_) if hasattr(model, "classes_") else 1
    graph = TreeGraph(columns, classes if classes > 2 else 1)

    def leaf(tree: Any, node: int) -> Child:
        values = tree.value[node, 0, :].tolist()
        return graph.leaf_of_many(values) if classes > 2 else graph.leaf(values[-1])

    def child(tree: Any, node: int) -> Child:
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if left == -1:
            return leaf(tree, node)
        threshold = last_left(float(tree.threshold[node]))
        children = child(tree, left), child(tree, right)
        missing_left = bool(tree.missing_go_to_left[node])
        return graph.split(int(tree.feature[node]), threshold, *children, missing_left=missing_left)

    for tree in trees:
        graph.tree(child(tree, 0))
    return graph, TreesMetadata("shares", divisor=float(len(trees)))


def _spark(model: SparkTrees, columns: int) -> ReadTrees:
    outputs = model.values.shape[1]
    graph = TreeGraph(columns, outputs)

    def child(node: int) -> Child:
        if model.feature[node] == LEAF:
            values = model.values[node].tolist()
            return graph.leaf_of_many(values) if outputs > 1 else graph.leaf(values[0])
        left, right = (child(int(each)) for each in model.children[node])
        return graph.split(int(model.feature[node]), float(model.threshold[node]), left, right, missing_left=False)

    for root in model.roots.tolist():
        graph.tree(child(root))
    return graph, TreesMetadata(model.link, divisor=model.divisor)


def _histogram(model: Any, columns: int) -> ReadTrees:
    outputs = int(model.n_trees_per_iteration_)
    graph = TreeGraph(columns, outputs)
    is_categorical = np.zeros(columns, bool) if model.is_categorical_ is None else model.is_categorical_
    order = [*np.flatnonzero(is_categorical), *np.flatnonzero(~is_categorical)]  # categories come first inside it
    categories = model._preprocessor.named_transformers_["encoder"].categories_ if is_categorical.any() else []
    known, known_row = model._bin_mapper.make_known_categories_bitsets()

    def child(predictor: Any, index: int, output: int) -> Child:
        node = predictor.nodes[index]
        if node["is_leaf"]:
            return graph.leaf(float(node["value"]), output)
        left, right = (child(predictor, int(node[side]), output) for side in ("left", "right"))
        column = int(node["feature_idx"])
        if not node["is_categorical"]:
            threshold, missing_left = float(node["num_threshold"]), bool(node["missing_go_to_left"])
            return graph.split(int(order[column]), threshold, left, right, missing_left=missing_left)
        goes_left = predictor.raw_left_cat_bitsets[int(node["bitset_idx"])]
        sides: dict[bool, list[int]] = {True: [], False: []}
        for code, category in enumerate(categories[column]):
            if _has(goes_left, code) or _has(known[known_row[column]], code):
                sides[_has(goes_left, code)].append(int(category))
        # Categories that training rows lack go where missing values go.
        unknown_left = bool(node["missing_go_to_left"])
        inside, outside = (right, left) if unknown_left else (left, right)
        return graph.membership(int(order[column]), sides[not unknown_left], inside, outside)

    for output, value in enumerate(np.ravel(model._baseline_prediction).tolist()):
        graph.tree(graph.leaf(value, output))
    for iteration in model._predictors:
        for output, predictor in enumerate(iteration):
            graph.tree(child(predictor, 0, output))
    if not hasattr(model, "classes_"):
        return graph, TreesMetadata("identity")
    return graph, TreesMetadata("logistic" if outputs == 1 else "numpy_softmax")


def _has(bitset: Any, code: int) -> bool:
    return bool((int(bitset[code // 32]) >> (code % 32)) & 1)


def _lightgbm(model: Any, columns: int) -> ReadTrees:
    dumped = model.booster_.dump_model()
    outputs = int(dumped["num_tree_per_iteration"])
    graph = TreeGraph(columns, outputs)

    def child(node: Mapping[str, Any], output: int) -> Child:
        if "split_feature" not in node:
            return graph.leaf(float(node["leaf_value"]), output)
        left, right = child(node["left_child"], output), child(node["right_child"], output)
        column = int(node["split_feature"])
        if node["decision_type"] == "==":
            members = [int(member) for member in str(node["threshold"]).split("||")]
            return graph.membership(column, members, left, right)
        if node["decision_type"] != "<=" or node["missing_type"] not in {"None", "NaN"}:
            raise ValueError(f"a split {node['decision_type']} with missing values as {node['missing_type']}")
        threshold = _without_tiny(float(node["threshold"]))
        # Of a feature that the fitted rows never lack, LightGBM reads a missing number as 0.
        missing_left = bool(node["default_left"]) if node["missing_type"] == "NaN" else threshold >= 0
        return graph.split(column, threshold, left, right, missing_left=missing_left)

    for tree in dumped["tree_info"]:
        graph.tree(child(tree["tree_structure"], int(tree["tree_index"]) % outputs))
    objective = dumped["objective"]
    links = {"regression": "identity", "binary sigmoid:1": "logistic", f"multiclass num_class:{outputs}": "softmax"}
    if objective not in links or dumped["average_output"]:
        raise ValueError(f"the objective {objective}")
    return graph, TreesMetadata(links[objective])


def _without_tiny(threshold: float) -> float:
    """The threshold at which values split as if tiny ones were 0."""
    if 0 <= threshold < TINY:
        return TINY
    return float(np.nextafter(-TINY, -np.inf)) if -TINY <= threshold < 0 else threshold


def _xgboost(model: Any, columns: int) -> ReadTrees:
    learner = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
    objective, parameters = learner["objective"]["name"], learner["learner_model_param"]
    outputs = max(1, int(parameters["num_class"]))
    links = {
        "reg:squarederror": "identity",
        "binary:logistic": "single_logistic",
        "multi:softprob": "single_softmax",
    }
    if objective not in links:
        raise ValueError(f"the objective {objective}")
    graph = TreeGraph(columns, outputs, single=True)
    base = np.broadcast_to(np.float32(json.loads(parameters["base_score"])), outputs)
    start = [single_log_odds(share) for share in base] if objective == "binary:logistic" else base.tolist()
    for output, value in enumerate(start):
        graph.tree(graph.leaf(value, output))
    boosted = learner["gradient_booster"]["model"]
    for tree, output in zip(boosted["trees"], boosted["tree_info"], strict=True):
        graph.tree(_xgboost_node(graph, tree, 0, int(output)))
    return graph, TreesMetadata(links[objective])


def _xgboost_node(graph: TreeGraph, tree: Mapping[str, Any], node: int, output: int) -> Child:
    if tree["left_children"][node] == -1:
        return graph.leaf(tree["split_conditions"][node], output)
    left, right = (
        _xgboost_node(graph, tree, tree[side][node], output) for side in ("left_children", "right_children")
    )
    column = int(tree["split_indices"][node])
    if tree["split_type"][node] == 0:
        threshold, missing_left = float(np.float32(tree["split_conditions"][node])), bool(tree["default_left"][node])
        return graph.split(column, threshold, left, right, missing_left=missing_left, mode=LT)
    at = tree["categories_nodes"].index(node)
    start, size = tree["categories_segments"][at], tree["categories_sizes"][at]
    return graph.membership(column, tree["categories"][start : start + size], right, left)


def _catboost(model: Any, columns: int) -> ReadTrees:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        saved = json.loads(path.read_text(encoding="utf-8"))
    if saved["features_info"].get("categorical_features"):
        raise ValueError("the model splits by statistics of categories, which a graph does not compute")
    scale, bias = saved["scale_and_bias"]
    links = {"RMSE": "identity", "Logloss": "logistic"}
    if (loss := model.get_all_params()["loss_function"]) not in links or scale != 1:
        raise ValueError(f"the loss {loss}, whose exponential is the library's own")
    graph = TreeGraph(columns, 1)
    # NaN is above a border only where the library treats it so; compared as it is, it is above none.
    features = {
        each["feature_index"]: (each["flat_feature_index"], each["nan_value_treatment"] != "AsTrue")
        for each in saved["features_info"]["float_features"]
    }
    for tree in saved["oblivious_trees"]:
        splits = [(*features[each["float_feature_index"]], each["border"]) for each in tree["splits"] or ()]
        graph.tree(_oblivious(graph, splits, tree["leaf_values"]))
    return graph, TreesMetadata(links[loss], bias=bias)


def _oblivious(graph: TreeGraph, splits: Sequence[tuple[int, bool, float]], leaves: Sequence[float]) -> Child:
    """A tree that tests the same split on a level: split i decides bit i of the leaf's number."""
    if not splits:
        return graph.leaf(leaves[0])
    *others, (column, missing_left, border) = splits
    half = len(leaves) // 2
    left, right = (_oblivious(graph, others, part) for part in (leaves[:half], leaves[half:]))
    return graph.split(column, last_left(float(np.float32(border))), left, right, missing_left=missing_left)


_READERS: Mapping[str, Callable[[Any, int], ReadTrees]] = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "catboost": _catboost,
    "forest": _forest,
    "histogram": _histogram,
    "spark": _spark,
}
