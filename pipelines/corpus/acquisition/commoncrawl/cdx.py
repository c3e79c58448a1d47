"""The CDX server as an index: https://github.com/webrecorder/pywb/wiki/CDX-Server-API, JSON lines, page by page.

A unit of work is one page of one pattern in one crawl. Step 1: the crawls that the server has (`collinfo.json`, where
there is one) against those that are wanted. Step 2: the number of pages of each pattern. Step 3: pages, with status,
media type, language and time as `filter`, `from` and `to`, so that little is sent that would be refused.
A page is at most 5 blocks of 3,000 rows, about 7 MB; a pattern without captures is answered by 404.
"""

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from pipelines.corpus.acquisition.commoncrawl.client import Client
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.errors import CommonCrawlError
from pipelines.corpus.acquisition.commoncrawl.patterns import PatternSet
from pipelines.corpus.acquisition.commoncrawl.rows import IndexRow, conditions
from pipelines.corpus.acquisition.commoncrawl.steps import Step, tally

FIELDS: Final = "url,timestamp,status,mime,mime-detected,languages,digest,length,offset,filename"
MAX_PAGE_BYTES: Final = 256 << 20
MAX_PAGES: Final = 1_000_000
PAGE_ATTEMPTS: Final = 3


class CdxIndex:
    """One CDX server; raises `CommonCrawlError` for what it does not have, `FetchError` when it does not answer."""

    def __init__(self, config: CommonCrawlConfig, client: Client) -> None:
        self._config = config
        self._client = client
        self._patterns = {f"{item.kind}:{item.host}{item.path}": item for item in config.patterns()}
        self._judge = conditions(config)
        self._known: list[str] | None = None

    def units(self, crawl: str) -> list[str]:
        """The pages to read, `<pattern>#<page>`."""
        self._check(crawl)
        return [
            f"{name}#{page}" for name, pattern in self._patterns.items() for page in range(self._pages(crawl, name))
        ]

    def read(self, crawl: str, unit: str, skip: int) -> Iterator[Step]:
        """The one step of a page."""
        if skip:
            return
        name, _, page = unit.rpartition("#")
        parameters = {**self._query(name), "fl": FIELDS, "page": page}
        for attempt in range(PAGE_ATTEMPTS):
            status, body = self._client.get(f"{crawl}-index", parameters, limit=MAX_PAGE_BYTES)
            lines = body.splitlines() if status == 200 else []
            # A page without Content-Length that was cut shows it only in its last line.
            if not lines or attempt == PAGE_ATTEMPTS - 1 or _parsed(lines[-1]) is not None:
                break
        rows = [_row(crawl, _parsed(line)) for line in lines]
        # Pages of an earlier pattern have brought a row that it means too: one row, however many patterns overlap.
        earlier = PatternSet(list(self._patterns.values())[: list(self._patterns).index(name)])
        fresh = [row for row in rows if row is None or not earlier.matches(row.url)]
        repeated = {"repeated": len(rows) - len(fresh)} if len(fresh) < len(rows) else {}
        yield tally(fresh, self._judge, last=True, before=repeated)

    def _check(self, crawl: str) -> None:
        if self._known is None:
            status, body = self._client.get("collinfo.json", limit=16 << 20)
            try:
                listed = json.loads(body) if status == 200 else []
                self._known = [str(item["id"]) for item in listed]
            except (ValueError, TypeError, KeyError):
                self._known = []
        if self._known and crawl not in self._known:
            near = difflib.get_close_matches(crawl, self._known, 3, 0.5) or self._known[:3]
            raise CommonCrawlError(
                f"{self._config.index_url} has no crawl {crawl!r}; it has {', '.join(near)} and others: see "
                f"{self._config.index_url}/collinfo.json"
            )

    def _pages(self, crawl: str, name: str) -> int:
        status, body = self._client.get(f"{crawl}-index", {**self._query(name), "showNumPages": "true"}, limit=1 << 20)
        if status == 404:
            return 0
        try:
            answer = json.loads(body)
            pages = int(answer["pages"] if isinstance(answer, dict) else answer)
        except (ValueError, TypeError, KeyError):
            pages = -1
        if not 0 <= pages <= MAX_PAGES:
            raise CommonCrawlError(
                f"{self._config.index_url}/{crawl}-index does not say how many pages it has: {body[:120]!r}; is "
                "index_url a CDX server with pages?"
            )
        return pages

    def _query(self, name: str) -> dict[str, Any]:
        config = self._config
        query: dict[str, Any] = {**self._patterns[name].query(), "output": "json"}
        filters = []
        if config.status:
            filters.append(f"~status:{_one_of(map(str, config.status))}$")
        if config.mime:
            filters.append(f"~mime-detected:{_one_of(config.mime)}$")
        if config.languages:
            start, end = ("", "(,.*)?$") if config.main_language else ("(.*,)?", "(,.*)?$")
            filters.append(f"~languages:{start}{_one_of(config.languages)}{end}")
        if filters:
            query["filter"] = filters
        if config.fetched_from:
            query["from"] = config.first_stamp()
        if config.fetched_to:
            query["to"] = config.last_stamp()
        return query


def _one_of(values: Any) -> str:
    return f"({'|'.join(re.escape(value) for value in values)})"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _row(crawl: str, value: dict[str, Any] | None) -> IndexRow | None:
    try:
        given = value or {}
        status = str(given.get("status", ""))
        return IndexRow(
            crawl=crawl,
            filename=str(given["filename"]),
            offset=int(str(given["offset"])[:18]),
            length=int(str(given["length"])[:18]),
            url=str(given["url"]),
            timestamp=str(given["timestamp"]),
            status=int(status[:9]) if status.isdecimal() else None,
            mime=str(given.get("mime-detected") or given.get("mime") or ""),
            languages=str(given.get("languages") or ""),
            digest=_digest(given.get("digest")),
        )
    except (KeyError, ValueError):
        return None


def _digest(value: object) -> str:
    text = str(value or "").removeprefix("sha1:")
    return "" if text == "-" else text
