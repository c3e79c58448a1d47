"""The frontier: what is still to be fetched, breadth first, and what became of everything else.

Every URL seen is counted once when it is discovered and gets exactly one outcome: at once (out of scope, a trap), or
when its fetch is settled. So `seen = settled + queued` at any time, and `seen = settled` at the end.

The window is the head of the queue: the entries that may be fetched now, in the order in which they will be settled.
It is refilled only when an entry is settled, never by time, so the order of settlement is a function of the responses.
Seen URLs are kept as 16-byte hashes.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from pipelines.corpus.acquisition.crawl import urls
from pipelines.corpus.acquisition.crawl.urls import UrlError

Verdict = Callable[[str, str, int, bool], str | None]


class Entry(NamedTuple):
    """A queued URL: normalized, with its canonical key, links from a seed, and redirects in a row that led to it.

    Entries sort by depth and then by `turn`, the number of earlier entries of their host at that depth: hosts take
    turns, so that several are in the window at once. `sitemap` is 0 for a page, else 1 + the indexes above it.
    """

    depth: int
    turn: int
    order: int
    url: str
    key: str
    hops: int
    sitemap: int


class Frontier:
    """The queue, the seen set and the outcome counters of one crawl."""

    def __init__(self, verdict: Verdict, *, window: int, max_urls: int, max_redirects: int) -> None:
        self._verdict = verdict
        self._width = window
        self._max_urls = max_urls
        self._max_redirects = max_redirects
        self._heap: list[Entry] = []
        self._window: list[Entry] = []
        self._hashes: set[bytes] = set()
        self._order = 0
        self._turns: Counter[tuple[int, str]] = Counter()
        self.seen = 0
        self.outcomes: Counter[str] = Counter()

    @property
    def queued(self) -> int:
        return len(self._heap) + len(self._window)

    def discover(self, link: str, depth: int) -> bool:
        """Take note of an absolute link; False when it was seen before."""
        try:
            url, key = urls.normalize(link), urls.canonical(link)
        except UrlError as error:
            return self._remember(f"bad:{link[:2048]}") and self._settle_new(error.reason)
        if not self._remember(key):
            return False
        return self._judge(url, key, depth, hops=0)

    def discover_sitemap(self, link: str, level: int) -> bool:
        """Take note of a sitemap; the pages that it lists are as near as seeds. False when it was seen before."""
        try:
            url, key = urls.normalize(link), f"sitemap {urls.canonical(link)}"
        except UrlError as error:
            return self._remember(f"bad:{link[:2048]}") and self._settle_new(error.reason)
        return self._remember(key) and self._judge(url, key, 0, hops=0, sitemap=level)

    def redirect(self, source: Entry, link: str) -> None:
        """Take note of the target of a redirect; it keeps the depth of its source."""
        try:
            url, key = urls.normalize(link), urls.canonical(link)
        except UrlError:
            self.discover(link, source.depth)
            return
        key = f"sitemap {key}" if source.sitemap else key
        # A server that answers /a with "go to /a?sid=1" means the same page: the key is known, the request is not.
        if not self._remember(key) and (key != source.key or url == source.url):
            return
        if source.hops >= self._max_redirects:
            self._settle_new("error:too_many_redirects")
            return
        self._judge(url, key, source.depth, hops=source.hops + 1, sitemap=source.sitemap)

    def cut(self, count: int, reason: str) -> None:
        """Count URLs that were not looked at one by one."""
        if count:
            self.seen += count
            self.outcomes[reason] += count

    def window(self) -> list[Entry]:
        """The entries at the head of the queue, in order of settlement."""
        while len(self._window) < self._width and self._heap:
            self._window.append(heapq.heappop(self._heap))
        return self._window

    def settle(self, outcome: str) -> None:
        """Give the first entry of the window its outcome."""
        self._window.pop(0)
        self.outcomes[outcome] += 1

    def settle_rest(self, outcome: str) -> None:
        """Give everything that is still queued one outcome."""
        self.outcomes[outcome] += self.queued
        self.outcomes += Counter()  # drops a zero entry
        self._heap.clear()
        self._window.clear()

    def _remember(self, key: str) -> bool:
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._hashes:
            return False
        if len(self._hashes) < self._max_urls:
            self._hashes.add(digest)
        return True

    def _judge(self, url: str, key: str, depth: int, hops: int, sitemap: int = 0) -> bool:
        if self.seen >= self._max_urls:
            return self._settle_new("bound:urls")
        outcome = self._verdict(url, key, depth, bool(sitemap))
        if outcome is not None:
            return self._settle_new(outcome)
        self.seen += 1
        host = (depth, urls.host_of(url))
        heapq.heappush(self._heap, Entry(depth, self._turns[host], self._order, url, key, hops, sitemap))
        self._turns[host] += 1
        self._order += 1
        return True

    def _settle_new(self, outcome: str) -> bool:
        self.seen += 1
        self.outcomes[outcome] += 1
        return True
