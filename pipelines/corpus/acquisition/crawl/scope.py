"""Scope: whether a URL is this crawl's business, judged from the URL alone, before anything is requested.

In the order of judgement: the host, the page list, the allow and deny patterns, the shape of the URL, the depth, and
the budgets for what only repetition gives away (calendars, sessions in paths, endless queries of one path). The budgets
are counters, so verdicts depend on the order of questions; the crawler asks in the order of its archive, which a
resumed crawl repeats.
"""

import fnmatch
import re
from collections import Counter
from collections.abc import Collection, Iterable

from pipelines.corpus.acquisition.crawl import urls
from pipelines.corpus.acquisition.crawl.config import REGEX_PREFIX, CrawlConfig


class Scope:
    """The judge of one crawl; `sites` are `host` or `host:port` as `urls.site_of` writes them."""

    def __init__(self, config: CrawlConfig, sites: Iterable[str], pages: Collection[str] | None) -> None:
        self._config = config
        self._sites = frozenset(sites) | frozenset(host.lower() for host in config.allow_hosts)
        self._pages = (
            None
            if pages is None
            else frozenset(urls.path_and_query(urls.canonical(f"http://x{page}")) for page in pages)
        )
        self._allow = _compile(config.allow)
        self._deny = _compile(config.deny)
        self._calendars: Counter[str] = Counter()
        self._queries: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()

    def verdict(self, url: str, key: str, depth: int, sitemap: bool = False) -> str | None:
        """Why the URL is out (an outcome name), or None when it may be queued. `url` normalized, `key` canonical.

        A sitemap is no page: only its host counts.
        """
        config = self._config
        if urls.site_of(url) not in self._sites:
            return "off_site"
        if sitemap:
            return None
        shape = urls.path_shape(
            url,
            max_length=config.max_url_length,
            max_segments=config.max_path_segments,
            max_repeats=config.max_segment_repeats,
            max_params=config.max_query_params,
        )
        if shape is not None:
            return f"trap:{shape}"
        if self._pages is not None and urls.path_and_query(key) not in self._pages:
            return "not_allowed"
        subject = urls.path_and_query(url)
        if (self._allow and not _matches(self._allow, subject)) or _matches(self._deny, subject):
            return "not_allowed"
        if depth > config.max_depth:
            return "too_deep"
        return self._over_budget(key)

    def _over_budget(self, key: str) -> str | None:
        template = urls.calendar_template(key)
        if template is not None:
            self._calendars[template] += 1
            if self._calendars[template] > self._config.max_calendar_pages:
                return "trap:calendar"
        template = urls.token_template(key)
        if template is not None:
            self._tokens[template] += 1
            if self._tokens[template] > self._config.max_session_pages:
                return "trap:session_path"
        path, question, _ = key.partition("?")
        if question:
            self._queries[path] += 1
            if self._queries[path] > self._config.max_path_queries:
                return "trap:path_queries"
        return None


def _compile(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(
        re.compile(
            pattern.removeprefix(REGEX_PREFIX) if pattern.startswith(REGEX_PREFIX) else fnmatch.translate(pattern)
        )
        for pattern in patterns
    )


def _matches(patterns: Iterable[re.Pattern[str]], subject: str) -> bool:
    return any(pattern.fullmatch(subject) for pattern in patterns)
