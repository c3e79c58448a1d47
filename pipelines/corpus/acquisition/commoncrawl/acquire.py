"""Common Crawl by selection, from conditions to WARC files: look up, estimate, fetch, prove. Resumable at any moment.

What comes in: a `CommonCrawlConfig`, a folder, and time and chance to use.
Steps: 1. index rows that match, capped by hash (`selection`); 2. the estimate is told, before any archive is asked;
3. byte ranges of the rows (`ranges`), each record proved, appended to WARC files (`fetch`).
What goes out: `<folder>/commoncrawl-00000.warc.gz` and so on, and a summary whose table holds every selected row, in
the order of its place, with its outcome: a failure names the archive's file and offset.
Costs: proving records runs at about 30 MB/s of archive, 900 records a second, far above a polite pace; memory is that
of `max_records` rows and of twice `concurrency` ranges.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from pipelines.core.fingerprint import digest_json
from pipelines.corpus.acquisition.commoncrawl.cdx import CdxIndex
from pipelines.corpus.acquisition.commoncrawl.client import Client, Clockwork
from pipelines.corpus.acquisition.commoncrawl.columnar import ColumnarIndex
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.errors import CommonCrawlError, FetchError
from pipelines.corpus.acquisition.commoncrawl.fetch import FETCHED, PREFIX, fetch
from pipelines.corpus.acquisition.commoncrawl.places import Place, open_place
from pipelines.corpus.acquisition.commoncrawl.ranges import Range, plan_ranges
from pipelines.corpus.acquisition.commoncrawl.rows import SELECTION_SCHEMA
from pipelines.corpus.acquisition.commoncrawl.selection import SELECTION, LookUp, Selection, select
from pipelines.corpus.acquisition.commoncrawl.steps import Index
from pipelines.corpus.acquisition.crawl import warc
from pipelines.corpus.acquisition.crawl.journal import Journal

JOURNAL_NAME: Final = "commoncrawl.journal.jsonl"


class Estimate(NamedTuple):
    """What a fetch will cost, known before it begins: `seconds` is what the declared pace alone needs."""

    matched: int
    matched_bytes: int
    records: int
    bytes: int
    requests: int
    request_bytes: int
    seconds: float


class Progress(NamedTuple):
    """What is told on the way: `phase` is `looking up` (units) or `fetching` (records); `estimate` once it is known."""

    phase: str
    done: int
    total: int
    bytes: int
    estimate: Estimate | None

    @property
    def note(self) -> str:
        """The estimate in words, with what is there of it."""
        given = self.estimate
        if given is None:
            return "index pages or files"
        return (
            f"{self.bytes / 1e6:.1f} of {given.bytes / 1e6:.1f} MB in {given.requests} requests of at least "
            f"{given.seconds:.0f} s; {given.matched} records of {given.matched_bytes / 1e6:.1f} MB match"
        )


@dataclass(frozen=True, slots=True)
class Acquired:
    """What an acquisition did. `outcomes` adds up to the rows of `table` (by SELECTION_SCHEMA)."""

    files: tuple[str, ...]
    table: pa.Table
    outcomes: dict[str, int]
    refused: dict[str, int]
    seen: int
    estimate: Estimate
    stored: int
    received: int


def acquire(
    config: CommonCrawlConfig, folder: Path, work: Clockwork, progress: Callable[[Progress], None] = lambda _: None
) -> Acquired:
    """Select and fetch into `folder`, or go on with what it holds. Raises `CommonCrawlError` when a server is away."""
    header = {"event": "start", "selection": SELECTION.version, "config": digest_json(config.identity())}
    with Journal(folder / JOURNAL_NAME, header) as journal:
        data = open_place(config, work)
        index = Client(config.index_url, config, work)
        try:
            looked_up: Index = CdxIndex(config, index) if config.index == "cdx" else ColumnarIndex(config, data)
            selection = _selected(config, looked_up, journal, progress)
            plan = _planned(config, selection, journal)
            estimate = _estimate(config, selection, plan)
            total = len(selection.rows)
            progress(Progress("fetching", 0, total, 0, estimate))
            settled = fetch(
                config,
                plan,
                data,
                journal,
                folder,
                lambda records, stored: progress(Progress("fetching", records, total, stored, estimate)),
            )
            return _acquired(folder, selection, settled, estimate, index, data)
        finally:
            index.close()
            data.close()


def _selected(
    config: CommonCrawlConfig, index: Index, journal: Journal, progress: Callable[[Progress], None]
) -> Selection:
    def tell(moment: LookUp) -> None:
        progress(Progress("looking up", moment.done, moment.units, 0, None))

    try:
        return select(config, index, journal, tell)
    except FetchError as error:
        raise CommonCrawlError(
            f"the index {'cannot be read' if error.lasting else 'does not answer'}: {error}. A part of an index would "
            "be a wrong selection, so nothing is fetched; what was looked up is kept, run it again to go on"
        ) from None


def _planned(config: CommonCrawlConfig, selection: Selection, journal: Journal) -> list[Range]:
    """The ranges; their shape is pinned in the journal, for it is operational and may be another at a resume."""
    known = next((event for event in journal.events if event["event"] == "ranges"), None)
    if known is None:
        known = {"event": "ranges", "gap": config.gap_bytes, "longest": config.max_range_bytes}
        journal.append(known)
        journal.sync()
    return list(plan_ranges(selection.rows, gap=known["gap"], longest=known["longest"]))


def _estimate(config: CommonCrawlConfig, selection: Selection, plan: list[Range]) -> Estimate:
    return Estimate(
        matched=selection.matched,
        matched_bytes=selection.matched_bytes,
        records=len(selection.rows),
        bytes=sum(row.length for row in selection.rows),
        requests=len(plan),
        request_bytes=sum(item.end - item.start for item in plan),
        seconds=len(plan) / config.requests_per_second,
    )


def _acquired(
    folder: Path, selection: Selection, settled: list[Any], estimate: Estimate, index: Client, data: Place
) -> Acquired:
    rows = [{**row._asdict(), **end._asdict()} for row, end in zip(selection.rows, settled, strict=True)]
    return Acquired(
        files=tuple(path.name for path in warc.complete_files(folder, PREFIX)),
        table=pa.Table.from_pylist(rows, schema=SELECTION_SCHEMA),
        outcomes=dict(sorted(Counter(end.outcome for end in settled).items())),
        refused=dict(sorted(selection.refused.items())),
        seen=selection.seen,
        estimate=estimate,
        stored=sum(row["length"] for row in rows if row["outcome"].startswith(FETCHED)),
        received=index.received + data.received,
    )
