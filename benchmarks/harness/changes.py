"""Changes of an endpoint under load: canary, version swap, scaling and rollback, with the responses counted."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import cycle

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import ServedEntityInput

from benchmarks.harness.load import LoadFailed
from deployment.endpoints import endpoint_client

Responses = Counter[tuple[int, str, bytes]]
Change = tuple[str, Callable[[], object]]


def changes(client: WorkspaceClient, endpoint: str, model: str, old: int, new: int) -> Sequence[Change]:
    """Changes of an endpoint, in order; it serves the version `old` before and after them."""
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
    steps: Sequence[Change], load: Callable[[Iterator[int]], Awaitable[Responses]], at_least: int = 1
) -> tuple[Responses, Counter[str]]:
    """Repeat the changes until each was made once and at least `at_least` requests were sent.

    Args:
        steps: changes of the endpoint, in order.
        load: sends a request for each number that it takes, and counts the responses.
        at_least: minimum number of requests.

    Returns:
        The counted responses, and the number of times each change was made.
    """
    made, sent, failed = Counter[str](), 0, False

    def unfinished() -> bool:
        return not failed and (sent < at_least or len(made) < len(steps))

    def turns() -> Iterator[int]:
        nonlocal sent
        while unfinished():
            yield sent
            sent += 1

    loading = asyncio.ensure_future(load(turns()))
    try:
        for name, step in cycle(steps):
            if loading.done() or not unfinished():
                break
            await asyncio.to_thread(step)
            made[name] += 1
    except BaseException:
        failed = True
        await asyncio.gather(loading, return_exceptions=True)
        raise
    return await loading, made


def check_responses(responses: Responses, names: Sequence[str]) -> None:
    """Check the responses to one repeated request, for which the versions give different predictions.

    Raises:
        LoadFailed: a request failed, a version never responded, or a response does not match its version's name.
    """
    if failed := sum(number for (status, _, _), number in responses.items() if status != 200):
        raise LoadFailed(f"{failed} of {sum(responses.values())} requests failed")
    bodies = defaultdict[str, set[bytes]](set)
    for _, served, body in responses:
        bodies[served].add(body)
    if sorted(bodies) != sorted(names):
        raise LoadFailed(f"responses came from {sorted(bodies)} instead of {sorted(names)}")
    if any(len(each) > 1 for each in bodies.values()) or len(set.union(*bodies.values())) < len(names):
        raise LoadFailed("a response does not come from the version named in its header")
