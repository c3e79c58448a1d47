"""The fetch: ranges in, verified records in WARC files out, journaled so that no range is asked twice after a kill.

Steps, for each range in the order of the plan: fetch (`concurrency` at a time, a few ahead); cut into pieces; prove
each (`ranges.verify`), ask once more for one that fails; append the members as they are to our WARC files; journal what
became of every row. A range that cannot be had whole is asked row by row. Results are settled in the plan's order, so
the files are a function of the answers. Servers that are away are no property of a record: after three ranges in a row
that got no answer, or refusals (401, 403) of three files in a row, as a server that bans us gives, the fetch stops with
an error, nothing of those settled, and goes on there when it runs again. Files refused in an earlier run and again in
this one are dropped with that outcome as soon as the server is seen to serve us, by an answer for anything else.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.errors import CommonCrawlError, FetchError
from pipelines.corpus.acquisition.commoncrawl.places import Place
from pipelines.corpus.acquisition.commoncrawl.ranges import Range, Verdict, verify
from pipelines.corpus.acquisition.commoncrawl.rows import IndexRow
from pipelines.corpus.acquisition.crawl import warc
from pipelines.corpus.acquisition.crawl.journal import Event, Journal
from pipelines.corpus.acquisition.crawl.warc import Position, WarcWriter

PREFIX: Final = "commoncrawl"
GIVE_UP_AFTER: Final = 3
FORBIDDEN: Final = frozenset({"http_401", "http_403"})
SYNC_EVERY: Final = 16
FETCHED: Final = "fetched"


class Piece(NamedTuple):
    """What became of one row; `data` is the gzip member of a record that was proved."""

    verdict: Verdict
    data: bytes


class Answer(NamedTuple):
    """The pieces of a range; `away` says why nothing was answered, or that it is forbidden, when that is so."""

    pieces: list[Piece]
    away: FetchError | None

    @property
    def forbidden(self) -> bool:
        return self.away is not None and self.away.reason in FORBIDDEN


class Settled(NamedTuple):
    """The end of one row: outcome, detail, and the file of ours and the offset in it where its record is."""

    outcome: str
    detail: str
    stored_in: str | None
    stored_at: int | None


def fetch(
    config: CommonCrawlConfig,
    plan: Sequence[Range],
    place: Place,
    journal: Journal,
    folder: Path,
    tell: Callable[[int, int], None] = lambda records, stored: None,
) -> list[Settled]:
    """What became of every row of the plan, in order. `tell` gets the rows settled and the bytes stored."""
    last = _vouched(journal, folder)
    events = [event for event in journal.events if event["event"] == "range"]
    settled = [Settled(*item) for event in events for item in event["results"]]
    if journal.events and journal.events[-1]["event"] == "end":
        return settled
    info = {
        "isPartOf": ", ".join(config.crawls),
        "description": "records of Common Crawl by selection, members as stored",
    }
    writer = WarcWriter(folder, prefix=PREFIX, info=info, max_bytes=config.warc_max_bytes, level=6, resume=last)
    try:
        rows = [row for item in plan[: len(events)] for row in item.rows]
        kept = (row for row, end in zip(rows, settled, strict=True) if end.outcome.startswith(FETCHED))
        desk = _Desk(writer, journal, settled, tell, next(kept, None))
        desk.run(config, plan[len(events) :], place)
        writer.finish()
    finally:
        writer.close()
    journal.append({"event": "end"})
    journal.sync()
    return settled


class _Desk:
    """Where answers are settled in the order of the plan."""

    def __init__(
        self,
        writer: WarcWriter,
        journal: Journal,
        settled: list[Settled],
        tell: Callable[[int, int], None],
        kept: IndexRow | None,
    ) -> None:
        self._writer = writer
        self._journal = journal
        self._settled = settled
        self._tell = tell
        self._kept = kept
        self._served = False
        self._refused = {name for event in journal.events if event["event"] == "refused" for name in event["files"]}
        self._waiting: list[tuple[Range, Answer]] = []
        self._unsynced = 0
        self._stored = 0

    def run(self, config: CommonCrawlConfig, plan: Sequence[Range], place: Place) -> None:
        ahead: deque[tuple[Range, Future[Answer]]] = deque()
        # Answers wait for their turn in memory: at most twice `concurrency` ranges of `max_range_bytes`.
        with ThreadPoolExecutor(config.concurrency, thread_name_prefix="commoncrawl") as pool:
            try:
                for item in plan:
                    ahead.append((item, pool.submit(_ask, place, item, config.max_decoded_bytes)))
                    if len(ahead) >= 2 * config.concurrency:
                        self._take(*ahead.popleft())
                while ahead:
                    self._take(*ahead.popleft())
                if len(self._forbidden()) >= GIVE_UP_AFTER and not self._served and not _serves(place, self._kept):
                    self._stop()
            except BaseException:
                place.stop()
                for _, future in ahead:
                    future.cancel()
                raise
        self._settle_waiting()

    def _take(self, item: Range, future: Future[Answer]) -> None:
        answer = future.result()
        self._waiting.append((item, answer))
        if answer.away is None:
            self._served = True
            self._settle_waiting()
        elif self._hopeless():
            self._stop()

    def _stop(self) -> NoReturn:
        """Note which files were refused, and end with what waits unsettled."""
        if forbidden := self._forbidden() - self._refused:
            self._journal.append({"event": "refused", "files": sorted(forbidden)})
        self._writer.sync()
        self._journal.sync()
        answer = self._waiting[-1][1]
        what, then = "got no answer", ""
        if answer.forbidden:
            what = "were refused"
            then = ". Files that are refused then as well are dropped, if the server gives any other: when it gives "
            then += "none, wait for the end of the ban, or see whether `data_url` needs another address"
        raise CommonCrawlError(
            f"{len(self._waiting)} requests in a row {what}, the last one: {answer.away}. What was fetched is "
            f"kept; run it again to go on from there{then}"
        )

    def _forbidden(self) -> set[str]:
        """The files of what waits that were refused."""
        return {item.filename for item, answer in self._waiting if answer.forbidden}

    def _hopeless(self) -> bool:
        """Whether what waits says that the server is away or has shut us out; one forbidden file is only that."""
        silent = sum(not answer.forbidden for _, answer in self._waiting)
        return len(self._forbidden() - self._refused) >= GIVE_UP_AFTER or silent >= GIVE_UP_AFTER

    def _settle_waiting(self) -> None:
        for item, answer in self._waiting:
            self._settle(item, answer.pieces)
        self._waiting.clear()

    def _settle(self, item: Range, pieces: Sequence[Piece]) -> None:
        """Archive, then journal: the journal never names what is not there."""
        results: list[Settled] = []
        position: Position | None = None
        for row, piece in zip(item.rows, pieces, strict=True):
            if piece.data:
                position = self._writer.append(piece.data, _date(row))
                name, start = f"{PREFIX}-{position.file:05d}.warc.gz", position.end - len(piece.data)
                results.append(Settled(piece.verdict.outcome, piece.verdict.detail, name, start))
                self._stored += len(piece.data)
            else:
                results.append(Settled(piece.verdict.outcome, piece.verdict.detail, None, None))
        event: Event = {"event": "range", "first": item.first, "results": results, "warc": position}
        self._journal.append(event)
        self._settled.extend(results)
        self._unsynced += 1
        if self._unsynced >= SYNC_EVERY:
            self._writer.sync()
            self._journal.sync()
            self._unsynced = 0
        self._tell(len(self._settled), self._stored)


def _ask(place: Place, item: Range, max_decoded: int) -> Answer:
    """One range, cut and proved; what a server does wrong ends in a verdict, never in an exception."""
    try:
        data = place.range(item.filename, item.start, item.end)
    except FetchError as error:
        shut_out = error.reason in FORBIDDEN
        if error.lasting and not shut_out and len(item.rows) > 1:
            return Answer([_alone(place, row, max_decoded) for row in item.rows], None)
        pieces = [
            Piece(Verdict(error.reason, f"{row.filename} at {row.offset}: {error.detail}"), b"") for row in item.rows
        ]
        return Answer(pieces, error if shut_out or not error.lasting else None)
    pieces = []
    for row in item.rows:
        start = row.offset - item.start
        piece = data[start : start + row.length]
        verdict = verify(piece, row, max_decoded)
        good = verdict.outcome.startswith(FETCHED)
        # A cache or proxy may have spoiled it in passing: asked for once more, alone.
        pieces.append(Piece(verdict, piece) if good else _alone(place, row, max_decoded))
    return Answer(pieces, None)


def _serves(place: Place, row: IndexRow | None) -> bool:
    """Whether a record that an earlier run fetched is given again: if so, what is refused now is refused by file."""
    try:
        return row is not None and bool(place.range(row.filename, row.offset, row.offset + row.length))
    except FetchError:
        return False


def _alone(place: Place, row: IndexRow, max_decoded: int) -> Piece:
    where = f"{row.filename} at {row.offset}: "
    try:
        piece = place.range(row.filename, row.offset, row.offset + row.length)
    except FetchError as error:
        return Piece(Verdict(error.reason, where + error.detail), b"")
    verdict = verify(piece, row, max_decoded)
    if verdict.outcome.startswith(FETCHED):
        return Piece(verdict, piece)
    return Piece(Verdict(verdict.outcome, where + verdict.detail), b"")


def _vouched(journal: Journal, folder: Path) -> Position | None:
    """Where the last archived record ends; the journal is cut before what a power cut took from the disk."""
    if journal.events and journal.events[-1]["event"] == "end":
        return None
    while True:
        last = next((Position(*event["warc"]) for event in reversed(journal.events) if event.get("warc")), None)
        if last is None or warc.vouched(folder, PREFIX, last):
            return last
        journal.keep_before(lambda event, lost=list(last): event.get("warc") == lost)  # type: ignore[misc]


def _date(row: IndexRow) -> str:
    """The row's time as a WARC-Date, for the warcinfo of a file that the row opens."""
    stamp = row.timestamp
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[8:10]}:{stamp[10:12]}:{stamp[12:]}Z"
