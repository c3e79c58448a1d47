"""One crawl of a loopback site, with everything that must hold of any crawl checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.crawler import crawl
from pipelines.corpus.acquisition.crawl.summary import CrawlSummary, Progress
from tests.pipelines.corpus.acquisition.crawl.loopback import FakeClock, Site, page, steady
from tests.pipelines.corpus.acquisition.crawl.test_warc import by_fastwarc, by_warcio

SITE = {"/": page("/a", "/b"), "/a": page("/c", "/a"), "/b": page("/c", "/d"), "/c": page("/"), "/d": page()}


def settings(**changes: Any) -> CrawlConfig:
    values = {
        "site": "pydoc",  # seeds may be paths; no site is started by the library
        "allow_private_hosts": ["127.0.0.1"],
        "host_delays": {"127.0.0.1": 0},
        "retries": 0,
        "concurrency": 1,
        **changes,
    }
    return CrawlConfig(**values)


def run(site: Site, folder: Path, clock: FakeClock | None = None, **changes: Any) -> CrawlSummary:
    """A whole crawl, checked."""
    summary = begin(site, folder, clock or FakeClock(), lambda progress: None, **changes)
    assert sum(summary.outcomes.values()) == summary.urls_seen
    assert summary.outcomes.get("fetched", 0) == summary.pages
    return summary


def begin(
    site: Site, folder: Path, clock: FakeClock, progress: Callable[[Progress], None], **changes: Any
) -> CrawlSummary:
    """A crawl that `progress` may watch or end."""
    return crawl(
        settings(**changes),
        folder,
        base_url=site.base,
        clock=clock,
        sleep=clock.sleep,
        chance=steady,
        progress=progress,
    )


def archived(folder: Path) -> list[str]:
    """Paths of the response records, in order, as both readers give them; every digest verified."""
    paths = []
    for file in sorted(folder.glob("*.warc.gz")):
        records = by_fastwarc(file)
        assert records == by_warcio(file)
        paths += [urlsplit(row[2])._replace(scheme="", netloc="").geturl() for row in records if row[0] == "response"]
    return paths
