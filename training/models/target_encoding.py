"""Target encoding: the mean label of a category in place of its index, for learners that support few categories."""

from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import TargetEncoder

from training.models.family import DataFacts

FOLDS = 5  # of cross fitting


def target_encoder(facts: DataFacts, seed: int, above: int) -> tuple[ColumnTransformer, int]:
    """A step that replaces every category index of more than `above` categories by mean labels.

    For a training row the mean comes from other rows (cross fitting); otherwise the learner would overrate it.

    Returns:
        The step and the count of columns that it puts first. The other columns follow in their order.
    """
    large = [column for column, size in facts.categories.items() if size > above]
    folds = facts.task.random_folds(FOLDS, seed)
    encoder = TargetEncoder(target_type=facts.task.target_type, cv=folds)
    columns = len(large) * facts.task.width(facts.classes)
    return ColumnTransformer([("target", encoder, large)], remainder="passthrough"), columns


def remaining_indices(facts: DataFacts, above: int, encoded: int) -> list[int]:
    """Positions, after `target_encoder`, of the category indices that it left; `encoded` columns are in front."""
    large = {column for column, size in facts.categories.items() if size > above}
    return [
        encoded + column - sum(other < column for other in large)
        for column in facts.categories
        if column not in large
    ]
