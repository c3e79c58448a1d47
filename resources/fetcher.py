"""Runs crawls and selections for real: starts the site if a crawl wants one, and passes the clock a library lacks."""

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from pipelines.corpus.acquisition.commoncrawl.acquire import Acquired, acquire
from pipelines.corpus.acquisition.commoncrawl.acquire import Progress as Moment
from pipelines.corpus.acquisition.commoncrawl.client import Clockwork
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.crawler import crawl
from pipelines.corpus.acquisition.crawl.summary import CrawlSummary, Progress
from resources.pydoc_site import INDEX_PAGES, pydoc_pages, pydoc_site


class Chances(TypedDict):
    """What the library is passed: time and chance."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    chance: Callable[[], float]


def run_crawl(
    config: CrawlConfig, out_dir: Path, *, progress: Callable[[Progress], None] = lambda _: None
) -> CrawlSummary:
    """Crawl into `out_dir`, or go on with the crawl that it holds.

    With `site: pydoc` the documentation server runs for as long as the crawl does, and only its safe pages are asked
    for, whatever `allow` says; without seeds the crawl starts at its three indexes.
    """
    chances: Chances = {"clock": wall_clock(), "sleep": time.sleep, "chance": random.random}
    if config.site is None:
        return crawl(config, out_dir, base_url=None, progress=progress, **chances)
    started = config if config.seeds else config.model_copy(update={"seeds": INDEX_PAGES})
    pages = pydoc_pages()
    with tempfile.TemporaryDirectory(prefix="gristmill-site-") as scratch, pydoc_site(Path(scratch)) as base_url:
        return crawl(started, out_dir, base_url=base_url, progress=progress, pages=pages, **chances)


def run_selection(
    config: CommonCrawlConfig, out_dir: Path, *, progress: Callable[[Moment], None] = lambda _: None
) -> Acquired:
    """Select from Common Crawl and fetch into `out_dir`, or go on with what it holds."""
    return acquire(config, out_dir, Clockwork(wall_clock(), time.sleep, random.random), progress)


def wall_clock() -> Callable[[], float]:
    """UTC seconds that never go back: read once, then carried on by the monotonic clock."""
    start = time.time() - time.monotonic()
    return lambda: start + time.monotonic()
