"""`python -m training.run --use-case NAME`: from gold tables to a registered challenger.

The stages are imported when they run: MLflow and scikit-learn take seconds, and a shell asks for the options alone.
"""

from contextlib import closing
from typing import TYPE_CHECKING

import click

from lakehouse import console
from lakehouse.options.use_case import use_case_option
from lakehouse.settings import Settings
from lakehouse.wording import number_of
from training.stages.search_options import PRINTED, search_options

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from training.use_case.use_case import UseCase


def train(
    use_case: "UseCase",
    settings: Settings,
    resume: str | None = None,
    *,
    register_on_interrupt: bool = False,
    leaderboard: int = PRINTED,
) -> "ModelVersion":
    """Run all stages of training; the new version becomes the challenger.

    Args:
        resume: run ID of an interrupted search of the same use case, or `latest`; None starts a new search.
        register_on_interrupt: True if Ctrl-C during the search registers the best model so far.
        leaderboard: number of trials to print after the search.
    """
    from training.budget import Budget
    from training.report import TrainedRun
    from training.search.executors.search_folder import remove_left_behind
    from training.search.leaderboard import print_leaderboard
    from training.stages.read import read
    from training.stages.refit import refit
    from training.stages.register import register
    from training.stages.report import write_report
    from training.stages.search import find_interrupted, resolve_inputs, search, with_predictions_of_bases
    from training.tracking import tracking
    from training.tracking.searches import search_identity, search_run

    budget = Budget.of(use_case.search.max_seconds)
    if removed := remove_left_behind():
        console.detail(f"removed {number_of('temporary folder', removed)} of searches that were killed")
    with tracking(settings) as client:
        experiment, interrupted = find_interrupted(use_case, resume, client, settings)
        with closing(read(use_case, settings)) as data:
            use_case = resolve_inputs(use_case, data.training)
            with search_run(client, experiment, search_identity(use_case, data), interrupted, settings) as run:
                result = search(
                    use_case,
                    data,
                    run,
                    interrupted,
                    client,
                    settings,
                    budget=budget,
                    register_on_interrupt=register_on_interrupt,
                )
                print_leaderboard(result.trials, use_case.search.metric, leaderboard)
                fitted_on = with_predictions_of_bases(data, use_case, result)
                winner = result.best(use_case.search.metric)
                refitted = refit(use_case, winner, fitted_on.training, result.trials, budget)
                version = register(use_case, refitted, result, fitted_on, client)
            # The run has ended: an error in the report does not affect the version.
            trained = TrainedRun(
                use_case, result.trials, refitted.scorer, fitted_on, version, refitted.fold_pipelines, budget
            )
            write_report(trained, client, settings)
    return version


@click.command()
@use_case_option(required=True)
@search_options
@click.option("--resume", metavar="RUN|latest", help="Continue an interrupted search: its run ID, or `latest`.")
@click.option("--register-on-interrupt", is_flag=True, help="On Ctrl-C, register the best model so far.")
@click.option(
    "--leaderboard",
    type=click.IntRange(0),
    default=PRINTED,
    show_default=True,
    help="Number of trials to print, best first; 0: none.",
)
def main(
    name: str, resume: str | None, *, register_on_interrupt: bool, leaderboard: int, **overrides: object
) -> None:
    """Search, refit and register the best model of a use case.

    An option takes the place of the key with its name in the use case.
    """
    from training.stages.search import apply_overrides
    from training.use_case.use_case import load

    use_case, settings = apply_overrides(load(name), overrides), Settings.from_environment()
    train(use_case, settings, resume, register_on_interrupt=register_on_interrupt, leaderboard=leaderboard)


if __name__ == "__main__":
    console.run_command(main)
