"""The pace of a crawl: one request at a time to a host, and a pause after each."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.corpus.acquisition.crawl import urls
from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.robots import Robots


@dataclass(slots=True)
class _Host:
    """Whether a request to the host runs, and from when the next may."""

    busy: bool = False
    free_from: float = float("-inf")


class Pace:
    """The hosts of one crawl; `rules` are what their robots.txt say, by origin, as far as they are known."""

    def __init__(self, config: CrawlConfig, product: str, rules: Mapping[str, Robots]) -> None:
        self._config = config
        self._product = product
        self._rules = rules
        self._hosts: dict[str, _Host] = {}

    def busy(self, origin: str) -> bool:
        """Whether a request to the origin's host runs."""
        return self._host(origin).busy

    def free_from(self, origin: str) -> float:
        """When the origin's host may be asked again."""
        return self._host(origin).free_from

    def begin(self, origin: str) -> None:
        """A request to the origin begins."""
        self._host(origin).busy = True

    def end(self, origin: str, now: float) -> None:
        """It ended; the pause begins."""
        host = self._host(origin)
        host.busy, host.free_from = False, now + self.delay(origin)

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
