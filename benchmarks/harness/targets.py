"""What the feature layer's steps are held to as the customers grow, and whether they were measured to keep it."""

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
class Measured:
    """One step at one size.

    Attributes:
        rows: of the frame.
        size: bytes that the step has left: files, or the matrix.
    """

    customers: int
    step: str
    usage: Usage
    rows: int = 0
    size: int = 0


def verdicts(measured: Sequence[Measured]) -> Iterator[tuple[str, str, bool]]:
    """Each target that a run can tell of, what was found, and whether that keeps it."""
    yield from _growth(measured)
    for build in _of(measured, BUILD):
        if build.customers == MILLION:
            found = build.usage.peak / MEGABYTE
            target = f"{MILLION:,} customers build in {BUILD_SECONDS} s and {BUILD_MEGABYTES:,} MB"
            kept = build.usage.seconds <= BUILD_SECONDS and found <= BUILD_MEGABYTES
            yield target, f"{build.usage.seconds:.1f} s, {found:,.0f} MB", kept
    for build, more in zip(_of(measured, BUILD), _of(measured, INCREMENT), strict=True):
        share = more.usage.seconds / build.usage.seconds
        yield (
            f"1 % more in {SHARE_OF_A_BUILD:.0%} of a build",
            f"{share:.0%} at {build.customers:,}",
            (share <= SHARE_OF_A_BUILD),
        )
    frames = _of(measured, FRAME)
    for frame in frames:
        size = frame.size / frame.rows * MILLION / MEGABYTE
        told = f"{size:,.0f} MB at {frame.customers:,}"
        yield f"CSR of a million rows below {CSR_MEGABYTES} MB", told, size < CSR_MEGABYTES
    for frame in [each for each in frames if MILLION <= each.rows < 2 * MILLION]:
        peak = frame.usage.peak / MEGABYTE
        told = f"{peak:,.0f} MB for {frame.rows:,} rows"
        yield f"assembly of a million rows below {FRAME_MEGABYTES:,} MB", told, peak < FRAME_MEGABYTES


def _growth(measured: Sequence[Measured]) -> Iterator[tuple[str, str, bool]]:
    for step, sizes in groupby(
        sorted(measured, key=lambda each: (each.step, each.customers)), lambda each: each.step
    ):
        for small, large in pairwise(sizes):
            data = large.customers / small.customers
            time = large.usage.seconds / small.usage.seconds
            told = f"{small.customers:,} to {large.customers:,}: {time:.1f} x for {data:.1f} x"
            yield f"time of {step} grows no faster than the data", told, time <= data


def _of(measured: Sequence[Measured], step: str) -> list[Measured]:
    return sorted((each for each in measured if each.step == step), key=lambda each: each.customers)
