"""A list in pages, each of which is small enough to be read.

Whoever may make objects decides how large they are, and one that is read takes up to twenty times as much memory as its
text. A page that is too large is not read to its end but asked for again, with fewer objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from controller.raycluster.model import PLURAL

from .client import TOO_LARGE, ApiError, Client, Request

# Objects of a page, and its bytes. A pod of a Ray cluster has some ten kilobytes, the largest RayCluster 1.5 MB, and a
# Node, whose status lists images, ten or twenty kilobytes.
PAGE_SIZE, PAGE_BYTES = 500, 6 * 2**20
# Where one may be large: of the first page, and of any. The server makes all of a page, however much of it is read.
FIRST_SIZES: Mapping[str, int] = {PLURAL: 25, "nodes": 100}
LARGEST_SIZES: Mapping[str, int] = {PLURAL: 100, "nodes": 200}
PAGE_BYTES_OF: Mapping[str, int] = {PLURAL: 2 * 2**20}


def pages(client: Client, request: Request) -> Iterator[dict[str, Any]]:
    """The pages of a list; the last one has no ``continue`` in its metadata.

    Raises:
        ApiError: as the client does.
        KeyError, TypeError: a page makes no sense.
    """
    most = LARGEST_SIZES.get(request.resource, PAGE_SIZE)
    size = FIRST_SIZES.get(request.resource, most)
    query, calm = dict(request.query), most
    while True:
        # One object alone is read, whatever its size: there is no smaller page.
        bound = PAGE_BYTES_OF.get(request.resource, PAGE_BYTES) if size > 1 else 0
        try:
            page = client.send(replace(request, query={**query, "limit": str(size)}, max_bytes=bound))
        except ApiError as error:
            if error.reason != TOO_LARGE:
                raise
            # What follows may be small again, or as large as this all the way.
            size, calm = max(1, size // 8), size // 2
            continue
        yield page
        token = page["metadata"].get("continue")
        if not token:
            return
        query["continue"] = token
        size = min(_larger(size, calm), most)


def _larger(size: int, calm: int) -> int:
    """The size of the next page: twice as many objects, but beyond half of a page that was too large a few more."""
    return 2 * size if 2 * size <= calm else size + max(1, size // 8)
