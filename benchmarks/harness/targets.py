"""Targets for the steps of the feature layer at growing numbers of customers, and their checks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from benchmarks.harness.measure import Usage

MILLION, MEGABYTE = 1_000_000, 1e6
BUILD_SECONDS, BUILD_MEGABYTES = 120, 4_000  # a million customers
SHARE_OF_A_BUILD = 0.25  # after 1 % more
CSR_MEGABYTES, FRAME_MEGABYTES = 200, 1_500  # a million rows
GENERATE, BUILD, INCREMENT, FRAME, PUBLISH = (
    "generate",
    "dbt build",
    "dbt build, 1 % more",
    "frame and CSR",
    "publish",
)


@dataclass(frozen=True)
class StepResult:
    """Measurement of one step at one number of customers.

    Attributes:
        rows: rows of the training frame.
        size: bytes of the result: files or the matrix.
    """

    customers: int
    step: str
    usage: Usage
    rows: int = 0
    size: int = 0


def check_targets(measured: Sequence[StepResult]) -> Iterator[tuple[str, str, bool]]:
    """Yield each target covered by the measurements, with the measured value and True if it is met."""
    yield from _growth(measured)
    for build in _select(measured, BUILD):
        if build.customers == MILLION:
            peak = build.usage.peak / MEGABYTE
            target = f"{MILLION:,} customers build in {BUILD_SECONDS} s and {BUILD_MEGABYTES:,} MB"
            met = build.usage.seconds <= BUILD_SECONDS and peak <= BUILD_MEGABYTES
            yield target, f"{build.usage.seconds:.1f} s, {peak:,.0f} MB", met
    for build, more in zip(_select(measured, BUILD), _select(measured, INCREMENT), strict=True):
        share = more.usage.seconds / build.usage.seconds
        yield (
            f"1 % more in {SHARE_OF_A_BUILD:.0%} of a build",
            f"{share:.0%} at {build.customers:,}",
            (share <= SHARE_OF_A_BUILD),
        )
    frames = _select(measured, FRAME)
    for frame in frames:
        size = frame.size / frame.rows * MILLION / MEGABYTE
        value = f"{size:,.0f} MB at {frame.customers:,}"
        yield f"CSR of a million rows below {CSR_MEGABYTES} MB", value, size < CSR_MEGABYTES
    for frame in [each for each in frames if MILLION <= each.rows < 2 * MILLION]:
        peak = frame.usage.peak / MEGABYTE
        value = f"{peak:,.0f} MB for {frame.rows:,} rows"
        yield f"assembly of a million rows below {FRAME_MEGABYTES:,} MB", value, peak < FRAME_MEGABYTES


def _growth(measured: Sequence[StepResult]) -> Iterator[tuple[str, str, bool]]:
    for step, sizes in groupby(
        sorted(measured, key=lambda each: (each.step, each.customers)), lambda each: each.step
    ):
        for small, large in pairwise(sizes):
            data = large.customers / small.customers
            time = large.usage.seconds / small.usage.seconds
            value = f"{small.customers:,} to {large.customers:,}: {time:.1f} x for {data:.1f} x"
            yield f"time of {step} grows no faster than the data", value, time <= data


def _select(measured: Sequence[StepResult], step: str) -> list[StepResult]:
    return sorted((each for each in measured if each.step == step), key=lambda each: each.customers)
