"""Ways to read a text side by side, on the reviews: terms, embeddings, and transformers over tokens.

Needs the extras torch and text, and the tables of `recommended` and `recommended_by_meaning`. Every way has the same
rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import click

from benchmarks.families.entry import Contest, default_of, entry, table
from lakehouse import console
from lakehouse.options.choices import OneOf
from lakehouse.settings import Settings
from scoring.hooks import Record
from training.feature_store.home import open_store
from training.frame.build import load_frame
from training.frame.constants import without_constants
from training.frame.drawing import sample
from training.frame.splits import training_split
from training.models.extras import require_extras
from training.space.joint_space import Candidate
from training.space.left_out_inputs import WITHOUT
from training.space.space import Params
from training.use_case.use_case import load

WORDS, MEANING = "recommended", "recommended_by_meaning"  # use cases
REQUESTS = 1_000  # different texts, more than are embedded while responses are measured
TEXT_ALONE: Mapping[str, bool] = {f"{WITHOUT}age": True, f"{WITHOUT}department": True}


@dataclass(frozen=True)
class TextReading:
    """A use case, and a family at the default of its space with some values in place of the default ones."""

    use_case: str
    family: str
    params: Params = field(default_factory=dict)

    @property
    def candidate(self) -> Candidate:
        return default_of(self.family, **self.params)


def _linear(use_case: str, inverse_regularization: float, **params: bool) -> TextReading:
    shared: Params = {"inverse_regularization": inverse_regularization, "penalty": "l2", "class_weight": None}
    return TextReading(use_case, "logistic_regression", {**shared, **params})


READINGS: Mapping[str, TextReading] = {
    "terms": _linear(WORDS, 3, **TEXT_ALONE),
    "terms_age_department": _linear(WORDS, 3),
    "embedding": _linear(MEANING, 0.03, **TEXT_ALONE),
    "embedding_age_department": _linear(MEANING, 0.03),
    "text_transformer": TextReading(WORDS, "text_transformer"),
    "fine_tuned_transformer": TextReading(WORDS, "fine_tuned_transformer", {"tokens": 64}),
}


@click.command()
@click.option("--most", default=1_000, show_default=True, help="Training rows, drawn at random by class.")
@click.option("--measured", default=100_000, show_default=True, help="Most rows of the holdout, drawn the same way.")
@click.option("--reading", "names", multiple=True, type=OneOf([*READINGS]), help="Ways to read; default: all.")
def main(most: int, measured: int, names: Sequence[str]) -> None:
    """Fit each way to read on the same reviews; print one table, with gains over the first way."""
    chosen = {name: READINGS[name] for name in names or READINGS}
    require_extras([each.family for each in chosen.values()])
    words = contest_of(WORDS, most, measured)
    requests = requests_of(words)
    contests = {WORDS: words, MEANING: words}
    if any(each.use_case == MEANING for each in chosen.values()):
        contests[MEANING] = contest_of(MEANING, most, measured)
    if contests[MEANING].training.keys.tolist() != words.training.keys.tolist():
        raise ValueError("the frames of the two use cases differ in their rows")
    entries = []
    for name, reading in chosen.items():
        console.stage(name)
        contest = contests[reading.use_case]
        entries.append(entry(name, reading.candidate, contest.with_requests(requests)))
    console.stage(f"{len(words.training):,} training rows, {len(words.holdout):,} in the holdout: {words.metric}")
    console.table(*table(words, entries, next(iter(chosen))))


def contest_of(name: str, most: int, measured: int) -> Contest:
    """Some training rows of a use case, and some of its holdout."""
    use_case = load(name)
    data = training_split(load_frame(use_case, open_store(Settings.from_environment())), use_case.split)
    seed = use_case.search.seed
    training = without_constants(data.training.rows(sample(data.training, most, seed)))
    holdout, requests = data.holdout.rows(sample(data.holdout, measured, seed)), [use_case.golden_request]
    return Contest(training, holdout, use_case.search.metric, use_case.response_format, requests, seed=seed)


def requests_of(words: Contest) -> list[Record]:
    """The golden request with the texts of the holdout in turn."""
    (golden,) = words.requests
    texts = dict.fromkeys(words.holdout.features["review"].tolist())
    return [{**golden, "review": text} for text in list(texts)[:REQUESTS]]


if __name__ == "__main__":
    console.run_command(main)
