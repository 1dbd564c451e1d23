"""The pool of model processes after any sequence of outcomes, with fakes of the processes."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployment.model_server.isolation import process_pool
from deployment.model_server.isolation.frames import Reply, ReplyKind
from deployment.model_server.isolation.model_process import ModelProcess, ProcessEnded, ProcessSpec
from deployment.model_server.isolation.process_pool import MAX_PROCESSES, NoProcess, PoolBusy, ProcessPool

SPEC = ProcessSpec("m version 1", {}, memory=400)
OUTCOMES = ("ok", "crash", "hang", "grow", "dies later")


@dataclass(eq=False)
class FakeProcess:
    """Ends, hangs or grows as a request asks for. It refuses a second request at the same time."""

    running: bool = True
    busy: bool = False
    memory: int = 100
    loaded_memory: int = 100

    async def ask(self, outcome: str) -> Reply:
        assert self.running and not self.busy
        self.busy = True
        await asyncio.sleep(0)
        if outcome == "crash":
            self.running = False
            raise ProcessEnded("it exited with code 3")
        if outcome == "hang":
            await asyncio.Event().wait()
        self.memory += 1000 * (outcome == "grow")
        self.running = outcome != "dies later"
        self.busy = False
        return Reply(ReplyKind.RESPONSE, self.memory, outcome.encode())

    def kill(self) -> None:
        self.running = False


@dataclass
class FakeStart:
    """Starts fakes; the first `failing` starts fail."""

    failing: int = 0
    started: list[FakeProcess] = field(default_factory=list)

    def __call__(self, spec: ProcessSpec) -> FakeProcess:
        if self.failing:
            self.failing -= 1
            raise ProcessEnded("it exited with code 1")
        self.started.append(FakeProcess())
        return self.started[-1]


@pytest.fixture(scope="module")
def start() -> Iterator[FakeStart]:
    fake = FakeStart()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelProcess, "start", fake)
        patch.setattr(process_pool, "FIRST_PAUSE", 0.0001)
        patch.setattr(process_pool, "MAX_PAUSE", 0.001)
        patch.setattr(process_pool, "GROW_AFTER", 0.001)
        yield fake


def pool_of(start: FakeStart, failing: int = 0) -> ProcessPool:
    start.started.clear()
    start.failing = 0
    first: Any = start(SPEC)
    start.failing = failing
    return ProcessPool(SPEC, first)


async def ask(pool: ProcessPool, outcome: str) -> str:
    """The reply; a caller whose request hangs stops waiting for it."""
    try:
        async with asyncio.timeout(0.02 if outcome == "hang" else 60):
            return (await pool.ask(outcome)).content.decode()
    except TimeoutError:
        return "hang"
    except ProcessEnded:
        return "crash"


@settings(max_examples=60, deadline=None)
@given(
    rounds=st.lists(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=12), min_size=1, max_size=4),
    failing=st.integers(0, 3),
)
def test_every_request_gets_its_own_outcome_and_no_process_is_lost(
    start: FakeStart, rounds: list[list[str]], failing: int
) -> None:
    async def scenario() -> None:
        pool = pool_of(start, failing)
        for each in rounds:
            answers = await asyncio.gather(*(ask(pool, outcome) for outcome in each))
            assert answers == each
            assert sum(process.running for process in start.started) <= MAX_PROCESSES
        assert await asyncio.gather(*(ask(pool, "ok") for _ in range(12))) == ["ok"] * 12
        await settled(pool)
        running = [process for process in start.started if process.running]
        assert not any(process.busy for process in running)
        assert 1 <= len(running) == pool.statistics.processes <= MAX_PROCESSES
        ended = pool.statistics.ended
        sent = [outcome for each in rounds for outcome in each]
        assert ended["memory"] == sent.count("grow")
        assert ended["crash"] >= sent.count("crash")
        pool.close()
        assert not any(process.running for process in start.started)

    asyncio.run(asyncio.wait_for(scenario(), 120))


async def settled(pool: ProcessPool) -> None:
    while pool._tasks:
        await asyncio.sleep(0.001)


def test_a_request_that_waits_long_starts_another_process(start: FakeStart) -> None:
    async def scenario() -> None:
        pool = pool_of(start)
        hanging = asyncio.create_task(pool.ask("hang"))
        assert [await ask(pool, "ok") for _ in range(20)] == ["ok"] * 20
        assert len(start.started) == 2
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        await settled(pool)
        assert pool.statistics.ended == {"crash": 0, "deadline": 1, "memory": 0}

    asyncio.run(scenario())


def test_requests_are_refused_where_too_many_wait(start: FakeStart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool, "MAX_WAITING", 3)

    async def scenario() -> None:
        pool = pool_of(start)
        hanging = [asyncio.create_task(ask(pool, "hang")) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(PoolBusy):
            await pool.ask("ok")
        assert await asyncio.gather(*hanging) == ["hang"] * 4
        assert await ask(pool, "ok") == "ok"
        await settled(pool)

    asyncio.run(scenario())


def test_requests_are_refused_at_once_while_no_process_will_start_soon(
    start: FakeStart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "FIRST_PAUSE", 6.0)
    monkeypatch.setattr(process_pool, "MAX_PAUSE", 6.0)

    async def scenario() -> None:
        pool = pool_of(start)
        assert [await ask(pool, "crash") for _ in range(2)] == ["crash", "crash"]
        with pytest.raises(NoProcess) as refused:
            await pool.ask("ok")
        assert 5 < refused.value.seconds <= 6
        for task in list(pool._tasks):
            task.cancel()

    asyncio.run(scenario())


def test_a_fixed_number_of_processes_starts_with_the_first_request(start: FakeStart) -> None:
    async def scenario() -> None:
        first: Any = start(SPEC)
        pool = ProcessPool(SPEC, first, 3, 3)
        assert await ask(pool, "ok") == "ok"
        await settled(pool)
        assert pool.statistics.processes == 3
        assert await ask(pool, "crash") == "crash"
        await settled(pool)
        assert pool.statistics.processes == 3
        hanging = [asyncio.create_task(ask(pool, "hang")) for _ in range(5)]
        assert await asyncio.gather(*hanging) == ["hang"] * 5
        await settled(pool)
        assert pool.statistics.processes == 3

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_unneeded_processes_end_after_a_while(start: FakeStart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool, "IDLE_SECONDS", 0.01)

    async def scenario() -> None:
        pool = pool_of(start)
        hanging = [asyncio.create_task(ask(pool, "hang")) for _ in range(3)]
        await ask(pool, "ok")
        await asyncio.gather(*hanging)
        while pool.statistics.processes > 1:
            await asyncio.sleep(0.001)
        assert await ask(pool, "ok") == "ok"
        await settled(pool)

    asyncio.run(asyncio.wait_for(scenario(), 60))
