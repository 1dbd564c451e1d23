"""Categories for learners that take none, or only few: what the label was on average in each."""

from sklearn.compose import ColumnTransformer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import TargetEncoder

from training.models.family import DataFacts

CROSSED = 5  # parts, each of which has its means from the others


def by_target(given: DataFacts, seed: int, above: int) -> tuple[ColumnTransformer, int]:
    """A step that puts the label's mean in place of every index of more than `above` categories.

    Of rows that are fitted on, a row's mean is of other rows (cross fitting), or the learner would trust it too much.

    Returns:
        The step, and how many columns it puts first; the other columns follow in their order.
    """
    large = [place for place, size in given.categories.items() if size > above]
    kind = {"regression": "continuous", "multiclass": "multiclass", "binary": "binary"}[given.task]
    parts = KFold if given.task == "regression" else StratifiedKFold
    encoder = TargetEncoder(target_type=kind, cv=parts(CROSSED, shuffle=True, random_state=seed))
    columns = len(large) * (given.classes if given.task == "multiclass" else 1)
    return ColumnTransformer([("target", encoder, large)], remainder="passthrough"), columns


def kept_places(given: DataFacts, above: int, first: int) -> list[int]:
    """Where, after `by_target`, the indices stand that it left as they are; `first` columns are in front."""
    large = {place for place, size in given.categories.items() if size > above}
    return [first + place - sum(other < place for other in large) for place in given.categories if place not in large]
