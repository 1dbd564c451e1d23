"""A trial as one line of JSON and back, every value with its type: for journals, trackers and other machines."""

import json
from datetime import timedelta
from typing import Any

from training.search.trial import Trial
from training.space.joint_space import Candidate


def written(trial: Trial) -> str:
    """The trial as JSON. Numbers are written so that they read back equal."""
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
        }
    )


def read(text: str) -> Trial:
    """What `written` wrote."""
    said: dict[str, Any] = json.loads(text)
    return Trial(
        said["number"],
        Candidate.of(said["family"], said["params"]),
        said["metrics"],
        tuple(said["per_fold"]),
        timedelta(seconds=said["duration_s"]),
        said["error"],
        said["stopped"],
    )
