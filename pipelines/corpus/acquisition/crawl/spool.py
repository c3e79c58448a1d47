"""The spool: visits that are done and wait for their turn, on disk, so that a kill does not ask for them again.

Results are settled in the queue's order, so a page of a quick host waits while a slow host is before it. Each that has
to wait is a file of its own, `<order>.visit`: a line of JSON, then the bytes of the exchange. It is written beside
itself, synced and renamed, so it is whole or not there, and removed when its URL is settled. At most `window` files
exist. One that is torn all the same, by a disk that lost what it said it kept, is removed: its URL is asked for again.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pipelines.corpus.acquisition.crawl.fetch import Exchange
from pipelines.corpus.acquisition.crawl.frontier import Entry
from pipelines.corpus.acquisition.crawl.links import PageLinks
from pipelines.corpus.acquisition.crawl.visit import Visit

SUFFIX: Final = ".visit"
_PLAIN: Final = (
    "url",
    "outcome",
    "status",
    "content_type",
    "charset",
    "location",
    "chunked",
    "peer",
    "date",
    "received",
)
"""What the archive and the journal need of an exchange beside its bytes."""


class Spool:
    """The waiting visits of one crawl, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, entry: Entry, visit: Visit) -> None:
        """Keep the visit of an entry that is not at the head of the queue."""
        exchange, links = visit
        blobs = [exchange.request, exchange.body, *exchange.head]
        head = {
            "exchange": {name: getattr(exchange, name) for name in _PLAIN},
            "links": links._asdict(),
            "sizes": [len(blob) for blob in blobs],
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(entry)
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as stream:
            stream.write(json.dumps(head).encode() + b"\n" + b"".join(blobs))
            stream.flush()
            os.fsync(stream.fileno())
        fresh.rename(path)

    def drop(self, entry: Entry) -> None:
        """Forget an entry that is settled."""
        self._path(entry).unlink(missing_ok=True)

    def load(self, window: Iterable[Entry]) -> dict[int, Visit]:
        """The visits that an earlier run left for the entries of the window; all else, and what is torn, goes."""
        found: dict[int, Visit] = {}
        for entry in window:
            path = self._path(entry)
            if path.exists():
                visit = _read(path.read_bytes())
                # A site that was started again for the crawl has another port: its pages are asked for again.
                if visit is not None and visit.exchange.url == entry.url:
                    found[entry.order] = visit
        for path in self._folder.glob("*"):
            if path.suffix != SUFFIX or int(path.stem) not in found:
                path.unlink()
        return found

    def clear(self) -> None:
        """Remove the folder at the end of the crawl."""
        if self._folder.exists():
            for path in self._folder.glob("*"):
                path.unlink()
            self._folder.rmdir()

    def _path(self, entry: Entry) -> Path:
        return self._folder / f"{entry.order:09d}{SUFFIX}"


def _read(data: bytes) -> Visit | None:
    """The visit in the bytes of a file; None when they are not all of them."""
    line, _, rest = data.partition(b"\n")
    try:
        head: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(head, dict) or len(rest) != sum(head["sizes"]):
        return None
    blobs = []
    for size in head["sizes"]:
        blobs.append(rest[:size])
        rest = rest[size:]
    request, body, *lines = blobs
    links = head["links"]
    return Visit(
        Exchange(**head["exchange"], request=request, body=body, head=tuple(lines)),
        PageLinks(links["links"], links["cut"], links["canonical"], tuple(links["sitemaps"])),
    )
