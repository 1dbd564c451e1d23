"""An endpoint changes while requests come: canary, version swap, another size, rollback; who answered what."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import cycle

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import ServedEntityInput

from benchmarks.harness.load import LoadFailed
from deployment.endpoints import endpoint_client

Found = Counter[tuple[int, str, bytes]]
Change = tuple[str, Callable[[], object]]


def changes(client: WorkspaceClient, endpoint: str, model: str, old: int, new: int) -> Sequence[Change]:
    """What happens to an endpoint in its life, in this order; it serves `old` before and after."""
    return (
        ("canary", lambda: endpoint_client.shift(client, endpoint, model, {old: 90, new: 10})),
        ("shift", lambda: endpoint_client.shift(client, endpoint, model, {old: 25, new: 75})),
        ("swap", lambda: endpoint_client.deploy(client, endpoint, model, new)),
        ("scale", lambda: _scale(client, endpoint, model, new, "Large")),
        ("rollback", lambda: endpoint_client.deploy(client, endpoint, model, old)),
    )


def _scale(client: WorkspaceClient, endpoint: str, model: str, version: int, size: str) -> None:
    entity = ServedEntityInput(entity_name=model, entity_version=str(version), workload_size=size)
    client.serving_endpoints.update_config_and_wait(endpoint, served_entities=[entity])


async def while_changing(
    steps: Sequence[Change], load: Callable[[Iterator[int]], Awaitable[Found]], at_least: int = 1
) -> tuple[Found, Counter[str]]:
    """Changes, over and over, while at least so many requests come and until each change was made.

    Args:
        steps: what happens to the endpoint, in this order.
        load: sends a request for each number that it takes, and counts the answers.

    Returns:
        The answers, and how often each change was made.
    """
    made, sent, failed = Counter[str](), 0, False

    def going() -> bool:
        return not failed and (sent < at_least or len(made) < len(steps))

    def turns() -> Iterator[int]:
        nonlocal sent
        while going():
            yield sent
            sent += 1

    loading = asyncio.ensure_future(load(turns()))
    try:
        for name, step in cycle(steps):
            if loading.done() or not going():
                break
            await asyncio.to_thread(step)
            made[name] += 1
    except BaseException:
        failed = True
        await asyncio.gather(loading, return_exceptions=True)
        raise
    return await loading, made


def check(found: Found, names: Sequence[str]) -> None:
    """Hold what came back to what was promised: for one request, repeated, of versions that answer differently.

    Raises:
        LoadFailed: a request failed; a version did not answer; or two bodies came under one name, or one under two.
    """
    if failed := sum(number for (status, _, _), number in found.items() if status != 200):
        raise LoadFailed(f"{failed} of {sum(found.values())} requests failed")
    bodies = defaultdict[str, set[bytes]](set)
    for _, served, body in found:
        bodies[served].add(body)
    if sorted(bodies) != sorted(names):
        raise LoadFailed(f"answered by {sorted(bodies)}, and not by {sorted(names)}")
    if any(len(each) > 1 for each in bodies.values()) or len(set.union(*bodies.values())) < len(names):
        raise LoadFailed("an answer does not come from the version that its header names")
