"""The selection: rows of all units that the conditions want, capped by hash, journaled so that no step is read twice.

A cap keeps the rows with the smallest hashes of their places (bottom-k), so the result is the same whatever the order
in which rows arrive, needs memory for `max_records` rows, and is a uniform sample of what matches. `max_bytes` then
cuts the same order where the sum of lengths would pass it.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.rows import IndexRow, in_order, rank
from pipelines.corpus.acquisition.commoncrawl.steps import Index
from pipelines.corpus.acquisition.crawl.journal import Event, Journal

SELECTION: Final = Algorithm("commoncrawl_selection", 1)
SYNC_EVERY: Final = 16


class Selection(NamedTuple):
    """`rows` in the order of fetching; `seen` index rows = `matched` + `refused` by the first condition they fail."""

    rows: list[IndexRow]
    seen: int
    refused: dict[str, int]
    matched: int
    matched_bytes: int


class LookUp(NamedTuple):
    """How far the look-up is: units done of those known so far, and rows that match."""

    done: int
    units: int
    matched: int


def select(
    config: CommonCrawlConfig, index: Index, journal: Journal, tell: Callable[[LookUp], None] = lambda _: None
) -> Selection:
    """Look up all units of all crawls, going on where `journal` ends."""
    best = BottomK(config.max_records, config.seed)
    plans: dict[str, list[str]] = {}
    steps: Counter[tuple[str, str]] = Counter()
    finished: set[tuple[str, str]] = set()
    totals = _Totals()
    for event in journal.events:
        if event["event"] == "plan":
            plans[event["crawl"]] = event["units"]
        elif event["event"] == "step":
            key = (event["crawl"], event["unit"])
            steps[key] += 1
            if event["last"]:
                finished.add(key)
            totals.add(event)
            for row in event["rows"]:
                best.add(IndexRow(*row))
    for crawl in dict.fromkeys(config.crawls):
        if crawl not in plans:
            plans[crawl] = index.units(crawl)
            journal.append({"event": "plan", "crawl": crawl, "units": plans[crawl]})
        for number, unit in enumerate(plans[crawl]):
            key = (crawl, unit)
            if key in finished:
                continue
            for step in index.read(crawl, unit, steps[key]):
                event = {
                    "event": "step",
                    "crawl": crawl,
                    "unit": unit,
                    "last": step.last,
                    "seen": step.seen,
                    "refused": dict(step.refused),
                    "matched": len(step.rows),
                    "bytes": sum(row.length for row in step.rows),
                    # Only rows that may still be among the smallest: about k ln(n / k) of n in the end.
                    "rows": [list(row) for row in step.rows if best.add(row)],
                }
                journal.append(event)
                totals.add(event)
            if number % SYNC_EVERY == 0:
                journal.sync()
            units = sum(map(len, plans.values()))
            tell(LookUp(units - len(plans[crawl]) + number + 1, units, totals.matched))
    return Selection(best.within(config.max_bytes), totals.seen, dict(totals.refused), totals.matched, totals.bytes)


class BottomK:
    """The rows with the smallest hashes, each place once."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._seed = seed
        self._heap: list[tuple[int, str, IndexRow]] = []
        self._places: set[tuple[int, str]] = set()
        self._limit: tuple[int, str] | None = None

    def add(self, row: IndexRow) -> bool:
        """Take the row if it is new and small enough; whether it was taken."""
        key = self._key(row)
        if key in self._places or (self._limit is not None and key >= self._limit):
            return False
        self._places.add(key)
        heapq.heappush(self._heap, (-key[0], _Reversed(key[1]), row))
        if len(self._heap) > self._size:
            dropped = heapq.heappop(self._heap)[2]
            self._limit = self._key(dropped)
            self._places.discard(self._limit)
        return True

    def within(self, max_bytes: int) -> list[IndexRow]:
        """The rows by increasing hash as long as their lengths fit, in the order of fetching."""
        taken: list[IndexRow] = []
        left = max_bytes
        for row in sorted((entry[2] for entry in self._heap), key=self._key):
            if row.length > left:
                break
            left -= row.length
            taken.append(row)
        return in_order(taken)

    def _key(self, row: IndexRow) -> tuple[int, str]:
        return rank(row, self._seed), f"{row.crawl} {row.place}"


class _Reversed(str):
    """A string that sorts the other way, for a heap whose top is the largest."""

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


class _Totals:
    """Counts over all steps."""

    def __init__(self) -> None:
        self.seen = self.matched = self.bytes = 0
        self.refused: Counter[str] = Counter()

    def add(self, event: Event) -> None:
        self.seen += event["seen"]
        self.matched += event["matched"]
        self.bytes += event["bytes"]
        self.refused.update(event["refused"])
