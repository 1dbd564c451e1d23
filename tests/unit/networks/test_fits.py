"""A fit of a network: early stopping, checkpoints, and a loss that is no number."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.networks.points import NETWORKS, require
from tests.unit.points import rows_of
from training.frame.splits import Fold
from training.networks import checkpoint
from training.networks.checkpoint import Arrays, Checkpoint
from training.networks.options import FitOptions
from training.networks.rungs import FitStopped
from training.search.fitting import fit
from training.search.pruning.halving import HalvingWatch, RungLimits
from training.search.trial import Attempt, TrialSpec, run_trial
from training.space.joint_space import Candidate

ROWS = rows_of("binary", 400)
STAGED = [family for family in NETWORKS if family != "keras_mlp"]


def network(family: str, rows: Any = ROWS, **params: Any) -> Any:
    require(family)
    return fit(Candidate(family, {**NETWORKS[family], **params}), rows, 0)["model"]


class Killed(Exception):
    """A stand-in for the end of the process."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Checkpoints after every epoch, in an empty folder."""
    monkeypatch.setattr(checkpoint, "FOLDER", tmp_path)
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    return tmp_path


def killed_after(saves: int) -> Callable[[Checkpoint, Arrays], None]:
    original, done = Checkpoint.save, [0]

    def save(self: Checkpoint, arrays: Arrays) -> None:
        original(self, arrays)
        done[0] += 1
        if done[0] == saves:
            raise Killed

    return save


@pytest.mark.parametrize("saves", [2, 10, 17])
@pytest.mark.parametrize("family", STAGED)
def test_an_interrupted_fit_resumes_to_the_same_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, family: str, saves: int
) -> None:
    expected = network(family)
    assert list(folder.iterdir()) == []
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", killed_after(saves))
        with pytest.raises(Killed):
            network(family)
    assert len(list(folder.glob("*.npz"))) == 1
    resumed = network(family)
    assert (resumed.graph, resumed.epochs) == (expected.graph, expected.epochs)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("family", STAGED[:1])
def test_another_fit_and_a_damaged_checkpoint_start_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    expected = network(family).graph
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", killed_after(3))
        with pytest.raises(Killed):
            network(family)
    (left,) = folder.iterdir()
    network(family, learning_rate=0.02)
    assert list(folder.iterdir()) == [left]
    left.write_bytes(left.read_bytes()[:1000])
    assert network(family).graph == expected


def test_checkpoints_of_old_fits_are_deleted(folder: Path) -> None:
    old, young = Checkpoint(folder / "old.npz"), Checkpoint(folder / "young.npz")
    old.save({"epoch": np.asarray(1)})
    os.utime(old.path, (0, 0))
    young.save({"epoch": np.asarray(2)})
    assert list(folder.iterdir()) == [young.path]


@pytest.mark.parametrize("family", NETWORKS)
def test_early_stopping_finds_fewer_epochs_where_labels_are_noise(family: str) -> None:
    noise = replace(ROWS, y=np.random.default_rng(0).integers(0, 2, len(ROWS)))
    assert network(family, noise, max_epochs=64).epochs < 32


@pytest.mark.parametrize(("epochs", "patience"), [(1, 8), (8, 8), (15, 8), (16, 9), (32, 18), (128, 69)])
def test_patience_is_as_long_as_the_last_cycle_of_the_learning_rate(epochs: int, patience: int) -> None:
    assert FitOptions(learning_rate=0.01, weight_decay=0.0, epochs=epochs).patience == patience


def test_a_fit_waits_while_the_learning_rate_rises_and_gains_when_it_falls() -> None:
    numbers = rows_of("regression", 400)
    assert network("mlp", numbers, max_epochs=128).epochs > 64  # after 8 epochs without a gain it was 13


@pytest.mark.parametrize("family", NETWORKS)
def test_no_early_stopping_if_older_rows_lack_a_class(family: str) -> None:
    late = replace(ROWS, y=(np.arange(len(ROWS)) > 380).astype(np.int64))
    assert network(family, late).epochs == NETWORKS[family]["max_epochs"]


@pytest.mark.parametrize("family", NETWORKS)
def test_a_diverging_trial_fails_with_its_epoch(family: str) -> None:
    require(family)
    rows = rows_of("regression", 400)
    trial = run_trial(3, Candidate(family, {**NETWORKS[family], "learning_rate": 1e30}), [Fold(rows, rows)], 0, 0.5)
    assert trial.status == "failed"
    assert str(trial.error).startswith("Diverged: the loss is not a number in epoch ")


def watched(family: str, limits: RungLimits) -> HalvingWatch:
    """The watch of a fit that it stopped or not."""
    require(family)
    watch = HalvingWatch(limits, threshold=0.5)
    with suppress(FitStopped):
        fit(Candidate(family, NETWORKS[family]), ROWS, 0, watch)
    return watch


@pytest.mark.parametrize("family", NETWORKS)
def test_a_network_worse_than_the_limit_of_a_rung_stops_there(folder: Path, family: str) -> None:
    losses = watched(family, RungLimits("log_loss")).losses
    assert 3 <= len(losses) <= 4  # epochs 2, 4, 8 and, without early stopping, 16
    assert losses[2] < losses[0]
    assert all(0 < loss < 1 for loss in losses)
    limits = RungLimits("log_loss", (losses[0], losses[1] - 1e-9), (4, 4))
    assert watched(family, limits).losses == losses[:2]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("family", STAGED[:1])
def test_an_interrupted_fit_remembers_its_rungs(folder: Path, monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    expected = watched(family, RungLimits("roc_auc"))
    for saves in (3, 17):  # in the stage with validation rows, and in the one with all rows
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "save", killed_after(saves))
            with pytest.raises(Killed):
                watched(family, RungLimits("roc_auc"))
        assert watched(family, RungLimits("roc_auc")) == expected
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("family", NETWORKS)
def test_a_trial_stopped_at_a_rung_is_pruned_before_its_first_fold_ends(family: str) -> None:
    require(family)
    limits = RungLimits("roc_auc", (-2.0,), (5,))
    trial = Attempt([Fold(ROWS, ROWS)], 0, 0.5)(TrialSpec(3, Candidate(family, NETWORKS[family]), None, limits))
    assert (trial.status, trial.metrics, trial.per_fold, len(trial.rungs)) == ("pruned", {}, (), 1)
    assert "after 2 epochs is worse than 2.0000, the median of 5 networks" in str(trial.error)
