"""Lines of a text file before its header and behind its last row."""

from collections.abc import Iterable, Iterator


def without_lines(blocks: Iterable[bytes], first: int, last: int) -> Iterator[bytes]:
    """Blocks of a text without its first and last lines; a line ends as on Unix, Windows or old Macs.

    >>> list(without_lines([b"Report 2024\\n\\nid;am", b"ount\\n1;2\\nSum;2\\n"], 2, 1))
    [b'id;amount\\n', b'1;2\\n']
    """
    pending = b""
    for block in blocks:
        pending += block
        if not first and not last:
            yield pending
            pending = b""
            continue
        lines = pending.splitlines(keepends=True)
        # The last of these lines may be incomplete, or lack the second half of its line end.
        kept = max(len(lines) - last - 1, 0)
        skipped = min(first, kept)
        first -= skipped
        if complete := b"".join(lines[skipped:kept]):
            yield complete
        pending = b"".join(lines[kept:])
    lines = pending.splitlines(keepends=True)
    if rest := b"".join(lines[first : max(len(lines) - last, 0)]):
        yield rest
