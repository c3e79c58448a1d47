"""What a crawl reports: while it runs, and at its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


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
    `bytes`, `seconds`, or None when everything in scope was fetched.
    """

    pages: int
    bytes: int
    seconds: float
    files: tuple[str, ...]
    urls_seen: int
    outcomes: Mapping[str, int]
    robots: Mapping[str, str]
    bounded_by: str | None
