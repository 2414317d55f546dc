"""The same image stored twice is one image; one identifier on two images is a fault."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable

from semeion.cohort.series.files import opened, split_member
from semeion.cohort.series.header import Header
from semeion.cohort.series.walk import Entry

_PIECE = 1 << 20


def content_digest(header: Header) -> bytes:
    """Return a digest of a file's bytes; of one that cannot be read, a digest of its name, equal to no other."""
    archive, member = split_member(header.path)
    entry = Entry(header.path, header.size, header.mtime_ns, archive if member else "", member)
    digest = hashlib.blake2b(digest_size=16)
    try:
        with opened(entry) as (read, size):
            for at in range(0, size, _PIECE):
                digest.update(read(at, _PIECE))
    except (OSError, RuntimeError, ValueError, EOFError):
        return header.path.encode(errors="surrogatepass")
    return digest.digest()


def without_copies(
    headers: Iterable[Header], digest: Callable[[Header], bytes] = content_digest
) -> tuple[list[Header], dict[str, str]]:
    """Keep the first by path of files with one SOP Instance UID and the same bytes.

    Only files whose UID and size are equal are read. Files with one UID and different bytes are all kept:
    :func:`~semeion.cohort.series.group.group_headers` reports them.

    Returns
    -------
    tuple
        The headers kept, in the given order, and for each copy left out the path of the file that it repeats.
    """
    headers = list(headers)
    alike: dict[tuple[str, int], list[Header]] = defaultdict(list)
    for header in headers:
        if header.sop_uid:
            alike[header.sop_uid, header.size].append(header)
    copies: dict[str, str] = {}
    for group in alike.values():
        seen: dict[bytes, str] = {}
        for header in sorted(group, key=lambda header: header.path) if len(group) > 1 else ():
            first = seen.setdefault(digest(header), header.path)
            if first != header.path:
                copies[header.path] = first
    return [header for header in headers if header.path not in copies], copies
