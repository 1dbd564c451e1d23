"""Families that read texts, and what a search of a frame with texts leaves out."""

from lakehouse import console
from training.frame.frame import TrainingFrame
from training.frame.refusals import FrameRefused
from training.models import FAMILIES
from training.use_case.search import SearchPlan


def plan_for_texts(plan: SearchPlan, frame: TrainingFrame) -> SearchPlan:
    """The plan for this frame. With a text it has neither stack, blend nor bag, whose rows are numbers alone.

    Raises:
        FrameRefused: a family reads numbers alone, or texts, and there are none.
    """
    texts = sorted(frame.encoder.text_features)
    if not texts:
        if readers := [name for name in plan.families if FAMILIES[name].matrix_format == "table"]:
            raise FrameRefused.no_texts(readers)
        return plan
    if dense := [name for name in plan.families if FAMILIES[name].matrix_format == "dense"]:
        if not frame.encoder.number_features:
            raise FrameRefused.no_numbers(dense, texts)
        console.detail(f"{', '.join(dense)}: reads no terms of {', '.join(texts)}, only numbers such as the length")
    if plan.stacks:
        console.detail(f"no stack: it reads numbers alone, and {', '.join(texts)} is a text")
    if plan.blend:
        console.detail(f"no blend: it reads numbers alone, and {', '.join(texts)} is a text")
    if plan.final != "refit":
        console.detail(f"final: refit in place of {plan.final}: a bag reads numbers alone too")
    return plan.model_copy(update={"stacks": 0, "blend": 0, "final": "refit"})
