"""What may be crawled, how fast and how much: every bound has a default, so no crawl is endless by omission."""

import re
from typing import Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from pipelines.core.config import Config, operational

LOOPBACK = "127.0.0.1"
REGEX_PREFIX = "re:"
ROBOTS = "robots"


class CrawlConfig(Config):
    """One crawl: seeds and scope, politeness, bounds, and the shape of the archive."""

    seeds: tuple[str, ...] = Field(
        (),
        description="URLs where the crawl starts, or paths of the site, e.g. `/index.html`; empty: the site's index.",
    )
    site: Literal["pydoc"] | None = Field(
        None, description="A site that is started for the crawl: `pydoc` is the documentation server of Python itself."
    )
    sitemaps: tuple[str, ...] = Field(
        (),
        description="Sitemaps whose URLs are queued like seeds: URLs, paths of the site, or `robots` for those that "
        "the robots.txt of crawled hosts name. Indexes, gzip, feeds and plain lists are read.",
    )
    max_sitemaps: PositiveInt = Field(100, description="Sitemaps fetched at most; later ones are `bound:sitemaps`.")
    max_sitemap_urls: PositiveInt = Field(50_000, description="URLs read from one sitemap; more are `bound:links`.")
    max_sitemap_bytes: PositiveInt = Field(
        50 << 20, description="Bytes of one sitemap, as transferred and after decompression."
    )
    allow_hosts: tuple[str, ...] = Field(
        (), description="Hosts (`name` or `name:port`) that may be crawled besides those of the seeds."
    )
    allow: tuple[str, ...] = Field(
        (),
        description="Globs, or regular expressions behind `re:`, on path and query; a URL must match one of them "
        "whole. Empty allows all.",
    )
    deny: tuple[str, ...] = Field(
        (), description="Patterns like those of `allow` that exclude a URL even when it is allowed."
    )
    max_pages: PositiveInt = Field(1000, description="Pages kept at most.")
    max_depth: NonNegativeInt = Field(8, description="Links followed from a seed at most; 0 fetches the seeds alone.")
    max_bytes: PositiveInt = Field(
        1 << 30,
        description="Body bytes received over the whole crawl; the page that crosses the bound is the last one.",
    )
    max_page_bytes: PositiveInt = Field(
        4 << 20, description="Body bytes of one page as transferred; a larger page is dropped as `too_big`."
    )
    max_decoded_bytes: PositiveInt = Field(
        32 << 20, description="Bytes of one page after its content encoding is undone; more is dropped as `bomb`."
    )
    max_seconds: PositiveFloat = Field(3600.0, description="Seconds that the crawl may take, resumed parts included.")
    max_urls: PositiveInt = Field(
        1_000_000,
        description="Distinct URLs remembered (about 100 bytes each); later ones are counted as `bound:urls`.",
    )
    max_page_links: PositiveInt = Field(
        5000, description="Links of one page that are looked at; the rest is counted as `bound:links`."
    )
    max_redirects: NonNegativeInt = Field(
        5, description="Redirects in a row from one link before the chain is given up."
    )
    delay_seconds: NonNegativeFloat = Field(
        1.0,
        description="Seconds between the end of a request and the next one to the same host; a longer crawl-delay of "
        "robots.txt wins.",
    )
    host_delays: dict[str, NonNegativeFloat] = Field(
        {},
        description="Delay by host name that replaces both `delay_seconds` and the crawl-delay of robots.txt, for "
        "hosts that are yours.",
    )
    allow_private_hosts: tuple[str, ...] = Field(
        (),
        description="Host names or addresses that may resolve to private or loopback addresses; others are refused.",
    )
    user_agent: str = Field(
        "Gristmill/0.1",
        description="The User-Agent header; its first word up to `/` is the name matched in robots.txt.",
    )
    accept_language: str | None = Field(None, description="The Accept-Language header, if any.")
    content_types: tuple[str, ...] = Field(
        ("text/html", "application/xhtml+xml", "text/plain"),
        description="Media types kept; a page of another type is dropped as `wrong_type`.",
    )
    respect_nofollow: bool = Field(
        True, description="Do not follow links that the page marks nofollow, by rel, by meta robots or by X-Robots-Tag."
    )
    timeout_seconds: PositiveFloat = Field(
        20.0, description="Seconds to connect, and between two pieces of a response."
    )
    max_page_seconds: PositiveFloat = Field(
        120.0, description="Seconds for one whole request, so that a server that drips bytes cannot hold the crawl."
    )
    retries: NonNegativeInt = Field(2, description="Further attempts after a timeout, a broken connection, 429 or 5xx.")
    backoff_seconds: NonNegativeFloat = Field(
        1.0, description="Wait before the first retry, doubled before each further one; up to half of it is jitter."
    )
    max_backoff_seconds: NonNegativeFloat = Field(
        60.0,
        description="The longest wait before a retry; a URL whose Retry-After asks for more is not asked again, and "
        "its host rests for this long.",
    )
    max_url_length: PositiveInt = Field(2048, description="Characters of a URL; longer ones are `trap:long_url`.")
    max_path_segments: PositiveInt = Field(16, description="Segments of a path; more are `trap:deep_path`.")
    max_segment_repeats: PositiveInt = Field(
        2,
        description="Times that one to four path segments may repeat in a row; more is `trap:repeated_segments`.",
    )
    max_query_params: PositiveInt = Field(8, description="Parameters of a query; more are `trap:many_params`.")
    max_path_queries: PositiveInt = Field(
        1000, description="Different queries of one path; more are `trap:path_queries`."
    )
    max_calendar_pages: PositiveInt = Field(
        100,
        description="URLs that differ only in a date, as those of an endless calendar; more are `trap:calendar`.",
    )
    max_session_pages: PositiveInt = Field(
        1000,
        description="URLs that differ only in a random path segment before the last, as sessions in paths make; more "
        "are `trap:session_path`.",
    )
    warc_max_bytes: PositiveInt = Field(
        1 << 30, description="Compressed bytes of one WARC file, after which the next one begins."
    )
    warc_compression_level: int = Field(6, ge=1, le=9, description="Level of the gzip member around each record.")
    concurrency: PositiveInt = operational(
        4, "Requests at the same time, over all hosts; a host has `host_concurrency` of them at most.", le=64
    )
    host_concurrency: PositiveInt = operational(
        1, "Requests to one host at the same time; more than one is for hosts that are yours.", le=16
    )

    @field_validator("user_agent", "accept_language")
    @classmethod
    def _one_header_line(cls, value: str | None) -> str | None:
        if value is not None and (not value.strip() or not value.isprintable() or not value.isascii()):
            raise ValueError(
                "a header value is one line of printable ASCII, e.g. 'Gristmill/0.1 (+https://example.org/bot)'"
            )
        return value

    @field_validator("allow", "deny")
    @classmethod
    def _patterns_compile(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value.startswith(REGEX_PREFIX):
                try:
                    re.compile(value.removeprefix(REGEX_PREFIX))
                except re.error as error:
                    raise ValueError(f"{value!r} is not a regular expression: {error}") from error
        return values

    @model_validator(mode="after")
    def _has_a_start(self) -> Self:
        listed = [item for item in self.sitemaps if item != ROBOTS]
        if not self.seeds and not listed and self.site is None:
            raise ValueError("a crawl needs `seeds` (URLs), `sitemaps` (URLs) or a `site`")
        if self.site is None and (
            bad := [item for item in (*self.seeds, *listed) if not re.match(r"https?://", item, re.IGNORECASE)]
        ):
            raise ValueError(f"seed {bad[0]!r} is no http(s) URL; paths are for a crawl with a `site`")
        if self.site == "pydoc" and LOOPBACK not in self.allow_private_hosts:
            raise ValueError(f"site pydoc runs on loopback: declare `allow_private_hosts: [{LOOPBACK}]`")
        return self
