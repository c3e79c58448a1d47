"""The columnar index (https://commoncrawl.org/columnar-index): Parquet files, pruned first, then read by ranges.

A unit is one Parquet file of a crawl and subset, as `cc-index-table.paths.gz` of the crawl lists them; a step is one of
its row groups. Step 1: the footer. Step 2: row groups whose statistics exclude a match are pruned: the table is sorted
by `url_surtkey`, so a host is in one or two groups of 300 files. Step 3: of the others the columns of the conditions
alone. Step 4: where rows are left, the columns of the result. A group without a match costs no column of the result.
"""

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.errors import CommonCrawlError, FetchError
from pipelines.corpus.acquisition.commoncrawl.patterns import UrlPattern
from pipelines.corpus.acquisition.commoncrawl.places import Place
from pipelines.corpus.acquisition.commoncrawl.rows import IndexRow, conditions, stamp
from pipelines.corpus.acquisition.commoncrawl.steps import Step, tally

RESULT: Final = ("url", "fetch_time", "warc_filename", "warc_record_offset", "warc_record_length")
OPTIONAL: Final = ("fetch_status", "content_mime_detected", "content_languages", "content_digest")
MAX_LIST_BYTES: Final = 64 << 20
_HOST = "url_host_name"


class ColumnarIndex:
    """The table behind `data_url`; raises `CommonCrawlError` for what it lacks."""

    def __init__(self, config: CommonCrawlConfig, place: Place) -> None:
        self._config = config
        self._place = place
        self._patterns = config.patterns()
        self._judge = conditions(config)

    def units(self, crawl: str) -> list[str]:
        """The Parquet files of the crawl's wanted subsets, in the order of the list."""
        path = f"crawl-data/{crawl}/cc-index-table.paths.gz"
        status, body = self._place.get(path, limit=MAX_LIST_BYTES)
        if status != 200:
            raise CommonCrawlError(
                f"{self._config.data_url} has no {path}: is {crawl!r} a crawl, with a columnar index (since 2013-20)?"
            )
        try:
            lines = gzip.decompress(body).decode().split()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise CommonCrawlError(f"{self._config.data_url}/{path} is no list of files: {error}") from None
        wanted = tuple(f"/subset={subset}/" for subset in self._config.subsets)
        found = [
            line
            for line in lines
            if line.endswith(".parquet") and any(mark in line for mark in wanted) and ".." not in line.split("/")
        ]
        if not found:
            raise CommonCrawlError(f"{path} lists no Parquet file of the subsets {', '.join(self._config.subsets)}")
        return found

    def read(self, crawl: str, unit: str, skip: int) -> Iterator[Step]:
        """One step a row group that may match; the first one carries what the footer pruned."""
        stream = _RangeFile(self._place, unit)
        try:
            yield from self._groups(crawl, unit, stream, skip)
        except (pa.ArrowException, OSError, ValueError) as error:
            if stream.failure is not None:
                raise stream.failure from error
            raise CommonCrawlError(f"{self._config.data_url}/{unit} cannot be read as Parquet: {error}") from None

    def _groups(self, crawl: str, unit: str, stream: "_RangeFile", skip: int) -> Iterator[Step]:
        file = pq.ParquetFile(pa.PythonFile(stream, mode="r"), pre_buffer=True)
        names = set(file.schema_arrow.names)
        self._check(unit, names)
        meta = file.metadata
        kept = [number for number in range(meta.num_row_groups) if self._may_match(meta.row_group(number))]
        pruned = meta.num_rows - sum(meta.row_group(number).num_rows for number in kept)
        before = {"pruned": pruned} if pruned else {}
        if not kept and not skip:
            yield tally([], self._judge, last=True, before=before)
        for index, number in list(enumerate(kept))[skip:]:
            first = file.read_row_group(number, columns=[name for name in self._needed() if name in names])
            mask = self._mask(first)
            chosen = pc.indices_nonzero(mask)
            unmatched = len(first) - len(chosen)
            counts = {**(before if index == 0 else {}), **({"unmatched": unmatched} if unmatched else {})}
            rows: list[IndexRow | None] = []
            if len(chosen):
                columns = [name for name in (*RESULT, *OPTIONAL) if name in names]
                rows = [_row(crawl, values) for values in _taken(file, number, columns, chosen)]
            yield tally(rows, self._judge, last=index == len(kept) - 1, before=counts)

    def _needed(self) -> list[str]:
        """Columns that the conditions look at."""
        config = self._config
        tested = {
            "url_host_tld": any(item.kind == "tld" for item in self._patterns),
            _HOST: any(item.kind != "tld" for item in self._patterns),
            "fetch_status": bool(config.status),
            "content_mime_detected": bool(config.mime),
            "content_languages": bool(config.languages),
            "fetch_time": bool(config.fetched_from or config.fetched_to),
        }
        return [name for name, used in tested.items() if used] or ["warc_record_offset"]

    def _check(self, unit: str, names: set[str]) -> None:
        lacking = sorted({*RESULT, *self._needed()} - names)
        if lacking:
            raise CommonCrawlError(
                f"{unit} has no column {', '.join(lacking)}: older crawls lack languages (before 2018-34) and detected "
                "media types (before 2017-30); leave out `languages`, or set `mime: []`"
            )

    def _may_match(self, group: Any) -> bool:
        """Whether the statistics of a row group leave room for a match; a column without statistics does."""
        config = self._config
        bounds = {}
        for number in range(group.num_columns):
            column = group.column(number)
            if column.is_stats_set and column.statistics.has_min_max:
                bounds[column.path_in_schema] = (column.statistics.min, column.statistics.max)
        if self._patterns:
            surts = [",".join(reversed(item.host.split("."))) for item in self._patterns]
            tlds = [item.host.rpartition(".")[2] for item in self._patterns]
            if not _holds_prefix(bounds.get("url_surtkey"), surts) or not _holds(bounds.get("url_host_tld"), tlds):
                return False
        if config.status and not _holds(bounds.get("fetch_status"), config.status):
            return False
        if config.mime and not _holds(bounds.get("content_mime_detected"), config.mime):
            return False
        times = bounds.get("fetch_time")
        if times is not None and isinstance(times[0], datetime):
            first, last = (stamp(moment.replace(tzinfo=moment.tzinfo or UTC)) for moment in times)
            if last < config.first_stamp() or first > config.last_stamp():
                return False
        return True

    def _mask(self, table: pa.Table) -> Any:
        """Which rows may match; the judge sees only those."""
        config = self._config
        tests = []
        if self._patterns:
            tests.append(_pattern_mask(table, self._patterns))
        if config.status:
            tests.append(pc.is_in(table["fetch_status"].cast(pa.int64()), pa.array(config.status, pa.int64())))
        if config.mime:
            tests.append(pc.is_in(table["content_mime_detected"], pa.array(config.mime)))
        if config.languages:
            start = "^" if config.main_language else "(^|,)"
            pattern = f"{start}({'|'.join(config.languages)})(,|$)"
            tests.append(pc.match_substring_regex(table["content_languages"], pattern))
        mask = pa.chunked_array([pa.repeat(True, len(table))])
        for test in tests:
            mask = pc.and_(mask, pc.fill_null(test, False))
        return mask


class _RangeFile(io.RawIOBase):
    """A remote file as arrow wants it: every read is one range. `failure` keeps what arrow's threads would reword."""

    def __init__(self, place: Place, path: str) -> None:
        super().__init__()
        self._place = place
        self._path = path
        self._size = place.size(path)
        self._at = 0
        self.failure: FetchError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def size(self) -> int:
        return self._size

    def read(self, length: int | None = -1) -> bytes:
        end = self._size if length is None or length < 0 else min(self._size, self._at + length)
        if end <= self._at:
            return b""
        try:
            data = self._place.range(self._path, self._at, end)
        except FetchError as error:
            self.failure = error
            raise OSError(str(error)) from error
        self._at = end
        return data


def _taken(file: Any, number: int, columns: list[str], chosen: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = file.read_row_group(number, columns=columns).take(chosen).to_pylist()
    return rows


def _pattern_mask(table: pa.Table, patterns: Sequence[UrlPattern]) -> Any:
    """Rows whose host is meant; paths are the judge's."""
    masks = []
    names: dict[str, list[str]] = {}
    for item in patterns:
        names.setdefault(item.kind if item.kind in ("domain", "tld") else "host", []).append(item.host)
    if "tld" in names:
        masks.append(pc.is_in(table["url_host_tld"], pa.array(names["tld"])))
    if "host" in names:
        bare = pc.replace_substring_regex(table[_HOST], r"^www\d*\.", "")
        masks.append(pc.is_in(bare, pa.array(names["host"])))
    if "domain" in names:
        tails = "|".join(map(re.escape, names["domain"]))
        masks.append(pc.match_substring_regex(table[_HOST], rf"(^|\.)({tails})$"))
    mask = masks[0]
    for other in masks[1:]:
        mask = pc.or_kleene(mask, other)
    return mask


def _holds(bounds: tuple[Any, Any] | None, values: Iterable[Any]) -> bool:
    return bounds is None or any(bounds[0] <= value <= bounds[1] for value in values)


def _holds_prefix(bounds: tuple[Any, Any] | None, prefixes: Iterable[str]) -> bool:
    """Whether a string that begins with one of the prefixes can lie within the bounds."""
    if bounds is None:
        return True
    return any(bounds[0][: len(item)] <= item <= bounds[1][: len(item)] for item in prefixes)


def _row(crawl: str, values: dict[str, Any]) -> IndexRow | None:
    try:
        fetched = values["fetch_time"]
        return IndexRow(
            crawl=crawl,
            filename=str(values["warc_filename"]),
            offset=int(values["warc_record_offset"]),
            length=int(values["warc_record_length"]),
            url=str(values["url"]),
            timestamp=stamp(fetched.replace(tzinfo=fetched.tzinfo or UTC)),
            status=values.get("fetch_status"),
            mime=str(values.get("content_mime_detected") or ""),
            languages=str(values.get("content_languages") or ""),
            digest=str(values.get("content_digest") or "").removeprefix("sha1:"),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
