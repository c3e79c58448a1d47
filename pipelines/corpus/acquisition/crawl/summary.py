"""What a crawl reports: while it runs, at its end, and the log of its requests that is kept with its archives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import pyarrow as pa

from pipelines.corpus.acquisition.crawl.journal import Event

LOG_SCHEMA: Final = pa.schema(
    [
        pa.field("url", pa.large_string(), nullable=False),
        pa.field("outcome", pa.large_string(), nullable=False),
        pa.field("received", pa.int64(), nullable=False),
        pa.field("location", pa.large_string()),
        pa.field("canonical", pa.large_string()),
        pa.field("stored_in", pa.int32()),
        pa.field("stored_to", pa.int64()),
    ]
)
"""A row for each URL whose turn came, in that order: where it redirects to, which URL it calls canonical, the number of
the archive file, and the offset behind its record."""


class Progress(NamedTuple):
    """What is reported after each settled URL."""

    pages: int
    max_pages: int
    bytes: int
    seconds: float
    queued: int


@dataclass(frozen=True, slots=True)
class CrawlSummary:
    """What a crawl did. `outcomes` adds up to `urls_seen`; `bytes` are body bytes received, kept or not.

    `robots` says by origin what robots.txt decided and why; `/` is the origin of the base URL. `bounded_by` is `pages`,
    `bytes`, `seconds`, or None when everything in scope was fetched. `log` is by LOG_SCHEMA.
    """

    pages: int
    bytes: int
    seconds: float
    files: tuple[str, ...]
    urls_seen: int
    outcomes: Mapping[str, int]
    robots: Mapping[str, str]
    bounded_by: str | None
    log: pa.Table


def crawl_log(events: Iterable[Event]) -> pa.Table:
    """The log of a journal's events, in its spelling: URLs of a site that was started for the crawl are paths."""
    columns: dict[str, list[object]] = {name: [] for name in LOG_SCHEMA.names}
    for event in events:
        if event["event"] == "url":
            stored_in, stored_to = event["warc"] or (None, None)
            row = (event["url"], event["outcome"], event["received"], event["location"], event.get("canonical"))
            for name, value in zip(columns, (*row, stored_in, stored_to), strict=True):
                columns[name].append(value)
    return pa.table(columns, schema=LOG_SCHEMA)
