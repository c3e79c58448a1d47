"""The pace of a crawl: few requests at a time to a host (one, unless more are declared), and a pause after each.

A host that answers 429 or 503 with Retry-After rests for that long, `max_backoff_seconds` at most; for robots.txt too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.corpus.acquisition.crawl import urls
from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.robots import Robots


@dataclass(slots=True)
class _Host:
    """How many requests to the host run, and from when the next may."""

    running: int = 0
    free_from: float = float("-inf")


class Pace:
    """The hosts of one crawl; `rules` are what their robots.txt say, by origin, as far as they are known."""

    def __init__(self, config: CrawlConfig, product: str, rules: Mapping[str, Robots]) -> None:
        self._config = config
        self._product = product
        self._rules = rules
        self._hosts: dict[str, _Host] = {}

    def busy(self, origin: str) -> bool:
        """Whether as many requests to the origin's host run as may."""
        return self._host(origin).running >= self._config.host_concurrency

    def free_from(self, origin: str) -> float:
        """When the origin's host may be asked again."""
        return self._host(origin).free_from

    def begin(self, origin: str, now: float) -> None:
        """A request to the origin begins; another one beside it keeps the same distance."""
        host = self._host(origin)
        host.running, host.free_from = host.running + 1, now + self.delay(origin)

    def end(self, origin: str, now: float, rest: float = 0.0) -> None:
        """It ended; the pause begins, or the `rest` that the host asked for, if that is longer."""
        host = self._host(origin)
        pause = max(self.delay(origin), min(rest, self._config.max_backoff_seconds))
        host.running, host.free_from = host.running - 1, max(host.free_from, now + pause)

    def delay(self, origin: str) -> float:
        """Seconds to leave a host alone: what is declared for it, else the longer of our delay and its crawl-delay."""
        declared = self._config.host_delays.get(urls.split_origin(origin)[1])
        if declared is not None:
            return declared
        rules = self._rules.get(origin)
        asked = rules.crawl_delay(self._product) if rules is not None else None
        return max(self._config.delay_seconds, asked or 0.0)

    def _host(self, origin: str) -> _Host:
        return self._hosts.setdefault(urls.split_origin(origin)[1], _Host())
