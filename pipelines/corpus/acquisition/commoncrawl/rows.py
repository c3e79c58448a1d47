"""Rows of an index, and the one judge of them: both indexes are filtered again by the same conditions.

The CDX server and Parquet statistics only narrow what is sent; a server that ignores a filter changes nothing.
A row that is refused is counted by the first condition that it fails.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import pyarrow as pa
import xxhash

from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.patterns import PatternSet

_SUBSET = re.compile(r"(?:^|/)(warc|crawldiagnostics|robotstxt)/[^/]+$")
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/=+-]{0,399}")


class IndexRow(NamedTuple):
    """A record that an index knows: `timestamp` is `YYYYMMDDhhmmss` in UTC, `languages` comma-separated."""

    crawl: str
    filename: str
    offset: int
    length: int
    url: str
    timestamp: str
    status: int | None
    mime: str
    languages: str
    digest: str

    @property
    def place(self) -> str:
        return f"{self.filename}:{self.offset}"


SELECTION_SCHEMA: Final = pa.schema(
    [
        pa.field("crawl", pa.large_string(), nullable=False),
        pa.field("filename", pa.large_string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("url", pa.large_string(), nullable=False),
        pa.field("timestamp", pa.large_string(), nullable=False),
        pa.field("status", pa.int32()),
        pa.field("mime", pa.large_string(), nullable=False),
        pa.field("languages", pa.large_string(), nullable=False),
        pa.field("digest", pa.large_string(), nullable=False),
        pa.field("outcome", pa.large_string(), nullable=False),
        pa.field("detail", pa.large_string(), nullable=False),
        pa.field("stored_in", pa.large_string()),
        pa.field("stored_at", pa.int64()),
    ]
)
"""The selection as it is kept with a batch: the index row, what became of it, and where the record is stored."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a selection in the form that rows are compared with."""

    patterns: PatternSet
    languages: frozenset[str]
    main_language: bool
    mime: frozenset[str]
    status: frozenset[int]
    first: str
    last: str
    subsets: frozenset[str]
    max_length: int

    def refusal(self, row: IndexRow) -> str | None:
        """The condition that the row fails, or None for one that is wanted."""
        if not usable(row):
            return "bad_row"
        subset = _SUBSET.search(row.filename)
        if subset is not None and subset[1] not in self.subsets:
            return "subset"
        if self.status and row.status not in self.status:
            return "status"
        if self.mime and row.mime not in self.mime:
            return "mime"
        spoken = [language for language in row.languages.split(",") if language]
        if self.languages and self.languages.isdisjoint(spoken[:1] if self.main_language else spoken):
            return "language"
        if not self.first <= row.timestamp <= self.last:
            return "fetch_time"
        if self.patterns and not self.patterns.matches(row.url):
            return "url"
        return "too_big" if row.length > self.max_length else None


def conditions(config: CommonCrawlConfig) -> Conditions:
    """The judge of one selection."""
    return Conditions(
        patterns=PatternSet(config.patterns()),
        languages=frozenset(config.languages),
        main_language=config.main_language,
        mime=frozenset(config.mime),
        status=frozenset(config.status),
        first=config.first_stamp(),
        last=config.last_stamp(),
        subsets=frozenset(config.subsets),
        max_length=config.max_record_bytes,
    )


def usable(row: IndexRow) -> bool:
    """Whether a row names a byte range: what an index server sends is not trusted to be a path below the base."""
    parts = row.filename.split("/")
    return (
        bool(_SAFE_NAME.fullmatch(row.filename))
        and not {"", ".", ".."} & set(parts)
        and 0 <= row.offset < 1 << 50
        and 0 < row.length < 1 << 40
        and len(row.timestamp) == 14
        and row.timestamp.isdecimal()
        and bool(row.url)
    )


def rank(row: IndexRow, seed: int) -> int:
    """The 64-bit hash by which a cap samples: of the record's place, so that no order of arrival changes it."""
    return xxhash.xxh64_intdigest(f"{row.crawl}\n{row.place}".encode(), seed=seed & (1 << 64) - 1)


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S")


def in_order(rows: Iterable[IndexRow]) -> list[IndexRow]:
    """By file and offset: the order of fetching, and of the kept selection."""
    return sorted(rows, key=lambda row: (row.filename, row.offset, row.crawl))
