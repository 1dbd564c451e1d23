"""A trial as one line of JSON, each value with its type: for files, trackers and other machines."""

import json
from datetime import timedelta
from typing import Any

from training.search.trial import Trial
from training.space.joint_space import Candidate


def to_json(trial: Trial) -> str:
    """Write the trial as JSON; numbers read back equal."""
    return json.dumps(
        {
            "number": trial.number,
            "family": trial.candidate.family,
            "params": trial.candidate.params,
            "metrics": trial.metrics,
            "per_fold": trial.per_fold,
            "duration_s": trial.duration.total_seconds(),
            "error": trial.error,
            "stopped": trial.stopped,
            **({"rungs": trial.rungs} if trial.rungs else {}),
            **({"origin": trial.origin} if trial.origin else {}),
        }
    )


def from_json(text: str) -> Trial:
    """Read a trial that `to_json` wrote."""
    fields: dict[str, Any] = json.loads(text)
    return Trial(
        fields["number"],
        Candidate.of(fields["family"], fields["params"]),
        fields["metrics"],
        tuple(fields["per_fold"]),
        timedelta(seconds=fields["duration_s"]),
        fields["error"],
        fields["stopped"],
        origin=fields.get("origin", ""),
        rungs=tuple(fields.get("rungs", ())),
    )
