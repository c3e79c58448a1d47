"""A visit: what a worker does for one URL, away from the crawler's state: fetch a page and its links, or robots.txt."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from pipelines.corpus.acquisition.crawl import robots, urls
from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.fetch import REDIRECTS, Exchange, Fetcher
from pipelines.corpus.acquisition.crawl.links import PageLinks, page_links
from pipelines.corpus.acquisition.crawl.robots import Robots
from pipelines.corpus.acquisition.crawl.sitemaps import parse_sitemap

HTML_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})


class Visit(NamedTuple):
    """An exchange and the links of its page."""

    exchange: Exchange
    links: PageLinks


class RobotsVisit(NamedTuple):
    """The rules of an origin, and the seconds that its host asked to be left alone when it answered robots.txt."""

    rules: Robots
    retry_after: float


class Visitor:
    """The work of the crawler's threads; holds the connections of one crawl."""

    def __init__(self, config: CrawlConfig, fetcher: Fetcher, clock: Callable[[], float]) -> None:
        self._config, self._fetcher, self._clock = config, fetcher, clock

    def page(self, url: str, delay: float) -> Visit:
        """Fetch a page and read its links; `delay` is the pace of its host."""
        exchange = self._fetcher.page(url, delay=delay)
        links = PageLinks([], 0)
        if exchange.outcome == "fetched" and exchange.content_type in HTML_TYPES:
            links = page_links(
                exchange.decoded,
                url,
                charset=exchange.charset,
                limit=self._config.max_page_links,
                respect_nofollow=self._config.respect_nofollow,
                robots_tag=exchange.robots_tag,
                link_header=exchange.link_header,
            )
        return Visit(exchange, links)

    def sitemap(self, url: str, delay: float) -> Visit:
        """Fetch a sitemap; its outcome is `sitemap`, or `sitemap:<what is wrong>` with the URLs that could be read.

        One that redirects is `sitemap:redirected`: unlike a page that does, it is in no archive.
        """
        config = self._config
        exchange = self._fetcher.sitemap(url, delay=delay)
        if exchange.outcome == "redirected":
            return Visit(replace(exchange, outcome="sitemap:redirected", body=b"", decoded=b""), PageLinks([], 0))
        if exchange.outcome != "fetched":
            return Visit(exchange, PageLinks([], 0))
        found = parse_sitemap(exchange.decoded, url, limit=config.max_sitemap_urls, max_bytes=config.max_sitemap_bytes)
        outcome = f"sitemap:{found.note.partition(':')[0]}" if found.note else "sitemap"
        # Read, not kept: the body is let go, and only pages go into the archive.
        exchange = replace(exchange, outcome=outcome, body=b"", decoded=b"")
        return Visit(exchange, PageLinks(found.pages, found.cut, sitemaps=tuple(found.sitemaps)))

    def robots(self, origin: str) -> RobotsVisit:
        """robots.txt of an origin through at most five redirects, to other hosts too (RFC 9309 section 2.3.1.2)."""
        url = f"{origin}/robots.txt"
        fetched = self._clock()
        for _ in range(robots.MAX_ROBOTS_REDIRECTS + 1):
            exchange = self._fetcher.robots(url, limit=robots.MAX_ROBOTS_BYTES)
            if exchange.location is None or exchange.status not in REDIRECTS:
                break
            try:
                url = urls.normalize(exchange.location)
            except urls.UrlError:
                break
        failed = exchange.outcome.startswith("error:") and not exchange.outcome.startswith("error:http_")
        rules = Robots.judge(
            status=None if failed else exchange.status,
            error=exchange.outcome.removeprefix("error:"),
            content_type=exchange.content_type,
            body=exchange.decoded,
            fetched=fetched,
        )
        # What another host asks for at the end of redirects is no wish of this one.
        own = urls.host_of(exchange.url) == urls.host_of(origin)
        return RobotsVisit(rules, (exchange.retry_after or 0.0) if own else 0.0)

    def close(self) -> None:
        self._fetcher.close()
