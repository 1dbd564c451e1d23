"""The targets of the scale benchmark, met and missed."""

from benchmarks.harness.measure import Usage
from benchmarks.harness.targets import BUILD, FRAME, INCREMENT, StepResult, check_targets


def step(customers: int, name: str, seconds: float, megabytes: float, *, rows: int = 0, csr: float = 0) -> StepResult:
    return StepResult(customers, name, Usage(seconds, seconds, int(megabytes * 1e6), ""), rows, int(csr * 1e6))


def results(*measured: StepResult) -> dict[str, bool]:
    return {f"{target}: {value}": met for target, value, met in check_targets(measured)}


def test_a_measurement_at_the_bound_meets_the_target() -> None:
    at_the_bound = [
        step(100_000, BUILD, 12, 500),
        step(1_000_000, BUILD, 120, 4_000),
        step(100_000, INCREMENT, 3, 500),
        step(1_000_000, INCREMENT, 30, 500),
        step(100_000, FRAME, 1, 900, rows=400_000, csr=79.9),
        step(1_000_000, FRAME, 9, 1_499, rows=1_000_000, csr=199.9),
    ]
    assert len(results(*at_the_bound)) == 3 + 1 + 2 + 2 + 1
    assert all(results(*at_the_bound).values())


def test_a_measurement_beyond_the_bound_misses_the_target() -> None:
    measured = results(
        step(100_000, BUILD, 10, 500),
        step(1_000_000, BUILD, 101, 4_001),
        step(100_000, INCREMENT, 2.6, 500),
        step(1_000_000, INCREMENT, 20, 500),
        step(1_000_000, FRAME, 9, 1_500, rows=1_500_000, csr=300),
        step(5_000_000, FRAME, 40, 9_000, rows=9_000_000, csr=1_000),
    )
    assert {target for target, met in measured.items() if not met} == {
        "time of dbt build grows no faster than the data: 100,000 to 1,000,000: 10.1 x for 10.0 x",
        "1,000,000 customers build in 120 s and 4,000 MB: 101.0 s, 4,001 MB",
        "1 % more in 25% of a build: 26% at 100,000",
        "CSR of a million rows below 200 MB: 200 MB at 1,000,000",
        "assembly of a million rows below 1,500 MB: 1,500 MB for 1,500,000 rows",
    }
