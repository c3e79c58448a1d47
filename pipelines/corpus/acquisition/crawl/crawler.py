"""A crawl: from seeds to WARC files, breadth first, inside its bounds, and resumable after a kill at any moment.

What comes in: a `CrawlConfig`, a folder, the site's base URL, and the clock and sleep to use.
Steps, for the URL at the head of the queue:
 1. ask the origin's robots.txt first (once in 24 hours, kept in the journal);
 2. fetch, at most `host_concurrency` requests (one) per host at a time, each host at its own pace; other hosts
    meanwhile, a few URLs ahead; what is done before its turn waits in the spool, on disk;
 3. settle results in queue order: archive the exchange, note the outcome in the journal, queue the page's links;
 4. a sitemap is fetched like a page, but read and not kept: its URLs are queued like seeds; its outcomes are its own;
 5. at a bound, give everything that is still queued the outcome `bound:<which>`.
What goes out: `<folder>/crawl-00000.warc.gz` and so on, the journal, and a `CrawlSummary` whose outcomes add up to the
URLs seen and whose log has a row for each URL whose turn came. The order of the archive depends on the responses alone,
not on their timing.
After `kill -9` the same call goes on; only requests that had no whole answer at the kill are made again.
Costs: about 1.5 ms a page of 45 KB beside the network (links, compression, journal).
"""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Final

from pipelines.core.fingerprint import Algorithm, digest_json
from pipelines.corpus.acquisition.crawl import robots, urls, warc
from pipelines.corpus.acquisition.crawl.config import ROBOTS, CrawlConfig
from pipelines.corpus.acquisition.crawl.fetch import Exchange, Fetcher
from pipelines.corpus.acquisition.crawl.frontier import Entry, Frontier
from pipelines.corpus.acquisition.crawl.journal import JOURNAL_NAME, Event, Journal
from pipelines.corpus.acquisition.crawl.links import PageLinks
from pipelines.corpus.acquisition.crawl.pace import Pace
from pipelines.corpus.acquisition.crawl.robots import Robots
from pipelines.corpus.acquisition.crawl.scope import Scope
from pipelines.corpus.acquisition.crawl.sitemaps import MAX_SITEMAP_DEPTH
from pipelines.corpus.acquisition.crawl.spool import Spool
from pipelines.corpus.acquisition.crawl.summary import CrawlSummary, Progress, crawl_log
from pipelines.corpus.acquisition.crawl.visit import RobotsVisit, Visit, Visitor
from pipelines.corpus.acquisition.crawl.warc import Position, WarcWriter

CRAWLER: Final = Algorithm("crawler", 5)
PREFIX: Final = "crawl"
SPOOL_NAME: Final = "crawl.spool"
SYNC_EVERY: Final = 64
"""Settled URLs between two fsyncs: after a power cut at most these are fetched again; a kill loses none of them."""


def crawl(
    config: CrawlConfig,
    out_dir: Path,
    *,
    base_url: str | None,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    chance: Callable[[], float],
    progress: Callable[[Progress], None] = lambda _: None,
    pages: Collection[str] | None = None,
) -> CrawlSummary:
    """Crawl, or go on with the crawl that `out_dir` holds; a finished one returns its summary without a request.

    `base_url` resolves seeds that are paths. `clock` gives UTC seconds since the epoch and must never go back; `sleep`
    waits; `chance` gives numbers in [0, 1), for the jitter of retries. `pages` limits the crawl to these paths (with
    query). Raises `JournalError` when the folder holds another crawl.
    """
    header: Event = {
        "event": "start",
        "crawler": CRAWLER.version,
        "config": digest_json(config.identity()),
        "pages": None if pages is None else digest_json(sorted(pages)),
    }
    with Journal(out_dir / JOURNAL_NAME, header) as journal:
        run = _Crawl(config, out_dir, journal, base_url, clock, sleep, chance, progress, pages)
        try:
            return run.run()
        finally:
            run.close()


class _Crawl:
    """The state of one run of `crawl`."""

    def __init__(
        self,
        config: CrawlConfig,
        out_dir: Path,
        journal: Journal,
        base_url: str | None,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        chance: Callable[[], float],
        progress: Callable[[Progress], None],
        pages: Collection[str] | None,
    ) -> None:
        self._config = config
        self._out_dir = out_dir
        self._journal = journal
        self._clock = clock
        self._sleep = sleep
        self._progress = progress
        self._product = robots.product_token(config.user_agent)
        self._base = "" if base_url is None else urls.origin_of(urls.normalize(base_url))
        self._sitemaps = [self._seed(item, base_url) for item in config.sitemaps if item != ROBOTS]
        self._seeds = [self._seed(seed, base_url) for seed in config.seeds or (() if self._sitemaps else ("/",))]
        scope = Scope(config, {urls.site_of(seed) for seed in (*self._seeds, *self._sitemaps)}, pages)
        # Results wait for their turn in memory and, to survive a kill, in the spool: the bodies of `window` pages at
        # most, so the window is small.
        self._frontier = Frontier(
            scope.verdict, window=2 * config.concurrency, max_urls=config.max_urls, max_redirects=config.max_redirects
        )
        self._visitor = Visitor(config, Fetcher(config, clock=clock, sleep=sleep, chance=chance), clock)
        self._writer: WarcWriter | None = None
        self._robots: dict[str, Robots] = {}
        self._pace = Pace(config, self._product, self._robots)
        self._flights: dict[Future[Any], tuple[str, Entry | None]] = {}
        self._in_flight: set[int] = set()
        self._results: dict[int, Visit] = {}
        self._spool = Spool(out_dir / SPOOL_NAME)
        self._pages = 0
        self._sitemaps_left = config.max_sitemaps
        self._asked_for_sitemaps: set[str] = set()
        self._received = 0
        self._started = clock()
        self._unsynced = 0
        self._out_of_time = False

    def run(self) -> CrawlSummary:
        """Replay the journal, then crawl to the end or to a bound."""
        for seed in self._seeds:
            self._frontier.discover(seed, 0)
        self._discover_sitemaps(self._sitemaps, 1)
        finished = self._replay()
        if finished is not None:
            return self._summary(finished["seconds"], finished["bounded_by"])
        self._results = self._spool.load(self._frontier.window())
        try:
            with ThreadPoolExecutor(self._config.concurrency, thread_name_prefix="crawl") as pool:
                bound = self._bound()
                while bound is None and self._frontier.window():
                    self._await(self._dispatch(pool))
                    bound = self._settle_ready()
                for flight in self._flights:
                    flight.cancel()
        except BaseException:
            self._keep_flights()
            raise
        return self._finish(bound)

    def close(self) -> None:
        self._visitor.close()
        if self._writer is not None:
            self._writer.close()

    # -- before the first request ---------------------------------------------------------------------------------

    def _seed(self, seed: str, base_url: str | None) -> str:
        try:
            return urls.normalize(urls.resolve(base_url or "", seed))
        except urls.UrlError as error:
            raise ValueError(
                f"crawl seed {seed!r} is no http(s) URL{'' if base_url else ', and there is no base URL'}"
            ) from error

    def _replay(self) -> Event | None:
        """Repeat what the journal says was settled; returns the end event of a finished crawl."""
        events = self._journal.events
        last = self._last_position()
        ended = bool(events) and events[-1]["event"] == "end"
        while last is not None and not ended and not warc.vouched(self._out_dir, PREFIX, last):
            self._journal.keep_before(lambda event, lost=list(last): event.get("warc") == lost)  # type: ignore[misc]
            last = self._last_position()
        elapsed = 0.0
        finished = None
        for event in events:
            if event["event"] == "robots":
                self._robots[self._absolute(event["origin"]).removesuffix("/")] = Robots.from_json(event)
            elif event["event"] == "url":
                self._replay_url(event)
                elapsed = event["seconds"]
            else:
                finished = event
                self._frontier.settle_rest(f"bound:{event['bounded_by']}")
        self._started = self._clock() - elapsed
        if finished is None:
            self._writer = WarcWriter(
                self._out_dir,
                prefix=PREFIX,
                info={"robots": "RFC 9309", "http-header-user-agent": self._config.user_agent},
                max_bytes=self._config.warc_max_bytes,
                level=self._config.warc_compression_level,
                resume=last,
            )
        return finished

    def _last_position(self) -> Position | None:
        """Where the last archived record of the journal ends."""
        events = reversed(self._journal.events)
        return next((Position(*event["warc"]) for event in events if event.get("warc")), None)

    def _replay_url(self, event: Event) -> None:
        entry = self._frontier.window()[0]
        if self._relative(entry.url) != event["url"]:
            raise RuntimeError(
                f"{self._out_dir}: the journal settles {event['url']!r} where {entry.url!r} is due; use a new folder"
            )
        links = [self._absolute(link) for link in event["links"]]
        sitemaps = tuple(self._absolute(link) for link in event.get("sitemaps", ()))
        found = PageLinks(links, event["cut"], sitemaps=sitemaps)
        self._account(entry, event["outcome"], event["received"], found, event["location"])

    # -- the loop ------------------------------------------------------------------------------------------------

    def _dispatch(self, pool: ThreadPoolExecutor) -> float | None:
        """Start what may start now; returns when the next host is free to be asked, if that is what entries wait for.

        At most `concurrency` requests run, and at most as many entries are tried as pages are still wanted.
        """
        now = self._clock()
        soonest: float | None = None
        for entry in self._frontier.window()[: self._config.max_pages - self._pages]:
            if len(self._flights) >= self._config.concurrency:
                return None
            origin = urls.origin_of(entry.url)
            if entry.order in self._results or entry.order in self._in_flight or self._pace.busy(origin):
                continue
            free_from = self._pace.free_from(origin)
            rules = self._robots.get(origin)
            fresh = rules is not None and now - rules.fetched <= robots.MAX_ROBOTS_AGE_SECONDS
            if rules is not None and fresh and not rules.allows(entry.url, self._product):
                self._results[entry.order] = Visit(Exchange(entry.url, rules.refusal, date=now), PageLinks([], 0))
            elif free_from > now:
                soonest = free_from if soonest is None else min(soonest, free_from)
            elif fresh:
                self._pace.begin(origin, now)
                visit = self._visitor.sitemap if entry.sitemap else self._visitor.page
                flight: Future[Any] = pool.submit(visit, entry.url, self._pace.delay(origin))
                self._flights[flight] = (origin, entry)
                self._in_flight.add(entry.order)
            elif (origin, None) not in self._flights.values():
                self._pace.begin(origin, now)
                self._flights[pool.submit(self._visitor.robots, origin)] = (origin, None)
        return soonest

    def _await(self, soonest: float | None) -> None:
        """Wait for a result, or until the host that is free `soonest` may be asked."""
        if self._head_is_settled():
            return
        pause = None if soonest is None else max(0.0, soonest - self._clock())
        if not self._flights:
            assert pause is not None, "an entry waits for nothing"
            if pause + self._elapsed() >= self._config.max_seconds:
                self._out_of_time = True
            else:
                self._sleep(pause)
            return
        done, _ = wait(self._flights, timeout=pause, return_when=FIRST_COMPLETED)
        for flight in done:
            origin, entry = self._flights.pop(flight)
            if entry is None:
                answer: RobotsVisit = flight.result()
                self._learn(origin, answer.rules)
                self._pace.end(origin, self._clock(), answer.retry_after)
            else:
                visit: Visit = flight.result()
                self._results[entry.order] = visit
                self._in_flight.discard(entry.order)
                if entry is not self._frontier.window()[0]:
                    self._spool.put(entry, visit)
                self._pace.end(origin, self._clock(), visit.exchange.retry_after or 0.0)

    def _learn(self, origin: str, rules: Robots) -> None:
        self._robots[origin] = rules
        self._journal.append({"event": "robots", "origin": self._relative(f"{origin}/"), **rules.to_json()})

    def _keep_flights(self) -> None:
        """Somebody stopped the crawl: what its last requests brought is not asked for again."""
        for flight, (origin, entry) in self._flights.items():
            if not flight.cancelled() and flight.exception() is None:
                if entry is None:
                    self._learn(origin, flight.result().rules)
                else:
                    self._spool.put(entry, flight.result())

    def _head_is_settled(self) -> bool:
        window = self._frontier.window()
        return bool(window) and window[0].order in self._results

    def _settle_ready(self) -> str | None:
        """Settle results in queue order as far as they are there; returns the bound that was reached."""
        while (bound := self._bound()) is None and self._head_is_settled():
            entry = self._frontier.window()[0]
            self._settle(entry, self._results.pop(entry.order))
        return bound

    def _settle(self, entry: Entry, fetched: Visit) -> None:
        """Archive, journal, account: in this order, so that the journal never names what is not there."""
        assert self._writer is not None
        exchange, links = fetched
        position = self._writer.write(exchange) if exchange.outcome in ("fetched", "redirected") else None
        location = exchange.location if exchange.outcome in ("redirected", "sitemap:redirected") else None
        event: Event = {
            "event": "url",
            "url": self._relative(entry.url),
            "outcome": exchange.outcome,
            "received": exchange.received,
            "seconds": self._elapsed(),
            "warc": position,
            "location": None if location is None else self._relative(location),
            "cut": links.cut,
            "links": [self._relative(link) for link in links.links],
        }
        if links.canonical is not None:
            event["canonical"] = self._relative(links.canonical)
        if links.sitemaps:
            event["sitemaps"] = [self._relative(link) for link in links.sitemaps]
        self._journal.append(event)
        self._spool.drop(entry)
        self._unsynced += 1
        if self._unsynced >= SYNC_EVERY:
            self._sync()
        self._account(entry, exchange.outcome, exchange.received, links, location)
        self._progress(
            Progress(self._pages, self._config.max_pages, self._received, self._elapsed(), self._frontier.queued)
        )

    def _account(self, entry: Entry, outcome: str, received: int, found: PageLinks, location: str | None) -> None:
        """What a settled URL does to the state; the same for a fresh and a replayed one."""
        self._frontier.settle(outcome)
        self._received += received
        self._pages += outcome == "fetched"
        origin = urls.origin_of(entry.url)
        if ROBOTS in self._config.sitemaps and origin not in self._asked_for_sitemaps and origin in self._robots:
            self._asked_for_sitemaps.add(origin)
            self._discover_sitemaps(self._robots[origin].sitemaps(), 1)
        for link in found.links:
            self._frontier.discover(link, 0 if entry.sitemap else entry.depth + 1)
        self._frontier.cut(found.cut, "bound:links")
        self._discover_sitemaps(found.sitemaps, entry.sitemap + 1)
        if location is not None:
            self._frontier.redirect(entry, location)

    def _discover_sitemaps(self, links: Iterable[str], level: int) -> None:
        """Queue sitemaps, as far as their number and their nesting allow."""
        for link in links:
            if level > MAX_SITEMAP_DEPTH or self._sitemaps_left <= 0:
                self._frontier.cut(1, "bound:sitemaps")
            elif self._frontier.discover_sitemap(link, level):
                self._sitemaps_left -= 1

    def _finish(self, bound: str | None) -> CrawlSummary:
        assert self._writer is not None
        seconds = self._elapsed()
        self._sync()
        self._writer.finish()
        self._journal.append({"event": "end", "seconds": seconds, "bounded_by": bound})
        self._journal.sync()
        self._spool.clear()
        self._frontier.settle_rest(f"bound:{bound}")
        return self._summary(seconds, bound)

    def _summary(self, seconds: float, bound: str | None) -> CrawlSummary:
        return CrawlSummary(
            pages=self._pages,
            bytes=self._received,
            seconds=seconds,
            files=tuple(path.name for path in warc.complete_files(self._out_dir, PREFIX)),
            urls_seen=self._frontier.seen,
            outcomes=dict(sorted(self._frontier.outcomes.items())),
            robots={
                self._relative(f"{origin}/"): f"{rules.state}: {rules.reason}"
                for origin, rules in sorted(self._robots.items())
            },
            bounded_by=bound,
            log=crawl_log(self._journal.replay()),
        )

    # -- small things --------------------------------------------------------------------------------------------

    def _bound(self) -> str | None:
        if self._pages >= self._config.max_pages:
            return "pages" if self._frontier.queued else None
        if self._received >= self._config.max_bytes:
            return "bytes" if self._frontier.queued else None
        if self._out_of_time or self._elapsed() >= self._config.max_seconds:
            return "seconds" if self._frontier.queued else None
        return None

    def _elapsed(self) -> float:
        return self._clock() - self._started

    def _sync(self) -> None:
        assert self._writer is not None
        self._writer.sync()
        self._journal.sync()
        self._unsynced = 0

    def _relative(self, url: str) -> str:
        """`url` without the base's origin: a restarted site has another port."""
        return url.removeprefix(self._base) if self._base and url.startswith(f"{self._base}/") else url

    def _absolute(self, stored: str) -> str:
        return self._base + stored if stored.startswith("/") else stored
