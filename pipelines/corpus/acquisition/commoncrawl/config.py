"""Which records of Common Crawl are wanted, from which index, how many, and how politely they are fetched."""

import re
from datetime import UTC, date, datetime
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipelines.core.config import Config, operational
from pipelines.corpus.acquisition.commoncrawl.patterns import PatternError, UrlPattern

INDEX_URL = "https://index.commoncrawl.org"
DATA_URL = "https://data.commoncrawl.org"


class CommonCrawlConfig(Config):
    """One selection: conditions on index rows, caps, and the pace of the requests.

    A row is selected when its URL matches one of `urls`, `hosts`, `domains` and `tlds`, and all other conditions hold.
    """

    crawls: tuple[str, ...] = Field(min_length=1, description="Crawls to select from, e.g. `CC-MAIN-2024-22`.")
    index: Literal["cdx", "columnar"] = Field(
        "cdx",
        description="Where rows are looked up: the CDX server (few hosts or URLs), or the columnar Parquet index (top "
        "level domains, languages: only the needed columns of the row groups that can match are read).",
    )
    urls: tuple[str, ...] = Field(
        (), description="URLs without scheme, exact (`example.org/a.html`) or with a prefix (`example.org/docs/*`)."
    )
    hosts: tuple[str, ...] = Field((), description="Host names whose pages are wanted, a leading `www.` counts.")
    domains: tuple[str, ...] = Field((), description="Domains that are wanted with every host below them.")
    tlds: tuple[str, ...] = Field((), description="Top level domains, e.g. `de`.")
    languages: tuple[str, ...] = Field(
        (), description="Languages as the index has them (ISO 639-3, e.g. `deu`); a row with another or none is out."
    )
    main_language: bool = Field(
        True, description="Whether the page's first language must be one of `languages`, or any of those it has."
    )
    mime: tuple[str, ...] = Field(
        ("text/html", "application/xhtml+xml"), description="Media types as detected by Common Crawl; empty takes all."
    )
    status: tuple[int, ...] = Field((200,), description="HTTP status codes; empty takes all.")
    fetched_from: str | None = Field(None, description="Earliest fetch time: a date, or an ISO 8601 time (UTC).")
    fetched_to: str | None = Field(None, description="Latest fetch time, included; a date means all of that day (UTC).")
    subsets: tuple[Literal["warc", "crawldiagnostics", "robotstxt"], ...] = Field(
        ("warc",),
        min_length=1,
        description="Parts of a crawl: `warc` has successful fetches; redirects and errors are `crawldiagnostics`.",
    )
    max_records: PositiveInt = Field(
        10_000, description="Records fetched at most; when more match, those with the smallest hash of their place."
    )
    max_bytes: PositiveInt = Field(
        1 << 30, description="Bytes of archive fetched at most, likewise by hash; the estimate says what is left out."
    )
    max_record_bytes: PositiveInt = Field(
        8 << 20, description="Compressed bytes of one record; a larger one is counted as `too_big` and not fetched."
    )
    max_decoded_bytes: PositiveInt = Field(
        64 << 20, description="Bytes of one record after decompression; a larger one is counted as `bomb`."
    )
    seed: int = Field(0, description="Seed of the hash that samples when a cap is reached.")
    index_url: str = operational(INDEX_URL, "Base URL of the CDX server.")
    data_url: str = operational(
        DATA_URL, "Base of archives and of the columnar index: http(s), or a folder, `s3://` and the like of fsspec."
    )
    user_agent: str = operational("Gristmill/0.1", "The User-Agent header of all requests.")
    gap_bytes: NonNegativeInt = operational(
        64 << 10, "Unwanted bytes between two records that are fetched along, so that one request serves both."
    )
    max_range_bytes: PositiveInt = operational(8 << 20, "Bytes of one request, unless one record alone is larger.")
    concurrency: PositiveInt = operational(2, "Requests for archive ranges at the same time.", le=16)
    requests_per_second: PositiveFloat = operational(2.0, "Requests that begin in a second, all threads together.")
    timeout_seconds: PositiveFloat = operational(30.0, "Seconds to connect, and between two pieces of a response.")
    max_request_seconds: PositiveFloat = operational(300.0, "Seconds for one whole request.")
    retries: NonNegativeInt = operational(
        6, "Further attempts after a timeout, a broken or wrong answer, 429 or 5xx, each with a doubled wait."
    )
    backoff_seconds: NonNegativeFloat = operational(2.0, "Wait before the first retry, before jitter.")
    max_backoff_seconds: NonNegativeFloat = operational(
        120.0, "The longest wait before a retry; a longer Retry-After of the server wins, up to ten times this."
    )
    warc_max_bytes: PositiveInt = Field(1 << 30, description="Bytes of one WARC file, after which the next begins.")

    @field_validator("crawls")
    @classmethod
    def _crawl_names(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", value):
                raise ValueError(f"{value!r} is no name of a crawl, such as CC-MAIN-2024-22")
        return values

    @field_validator("languages")
    @classmethod
    def _languages(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not re.fullmatch(r"[a-z]{3}", value):
                raise ValueError(f"{value!r} is no ISO 639-3 code: three letters, such as eng, deu, zho")
        return values

    @field_validator("mime")
    @classmethod
    def _media_types(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not re.fullmatch(r"[a-z0-9.+-]+/[a-z0-9.+-]+", value):
                raise ValueError(f"{value!r} is no media type, such as text/html")
        return values

    @field_validator("fetched_from", "fetched_to", mode="before")
    @classmethod
    def _utc(cls, value: object, info: ValidationInfo) -> str | None:
        """One spelling, `YYYY-MM-DDThh:mm:ssZ`; YAML turns an unquoted date into a date of its own."""
        if value is None:
            return None
        text = value.isoformat() if isinstance(value, date) else str(value).strip()
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is no date or time, such as 2024-05-18 or 2024-05-18T06:00:00Z") from error
        if len(text) == len("2024-05-18") and info.field_name == "fetched_to":
            moment = moment.replace(hour=23, minute=59, second=59)
        return f"{(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    @field_validator("user_agent")
    @classmethod
    def _one_header_line(cls, value: str) -> str:
        if not value.strip() or not value.isprintable() or not value.isascii():
            raise ValueError("a header value is one line of printable ASCII")
        return value

    @field_validator("index_url", "data_url")
    @classmethod
    def _base(cls, value: str) -> str:
        if urlsplit(value).query or urlsplit(value).fragment:
            raise ValueError(f"{value!r} is no base URL: leave out `?` and `#`")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _wants_something(self) -> Self:
        try:
            wanted = self.patterns()
        except PatternError as error:
            raise ValueError(str(error)) from error
        narrowed = self.languages or self.fetched_from or self.fetched_to
        if not wanted and not (self.index == "columnar" and narrowed):
            raise ValueError(
                "a selection names `urls`, `hosts`, `domains` or `tlds`; the columnar index takes `languages` or a "
                "fetch time alone"
            )
        if self.index == "cdx" and not re.match(r"https?://", self.index_url):
            raise ValueError(f"index_url {self.index_url!r} is no http(s) URL")
        if self.fetched_from and self.fetched_to and self.fetched_from > self.fetched_to:
            raise ValueError("fetched_from is later than fetched_to: nothing could match")
        return self

    def first_stamp(self) -> str:
        """`fetched_from` as indexes write it, `YYYYMMDDhhmmss`; below every time when there is none."""
        return re.sub(r"\D", "", self.fetched_from) if self.fetched_from else "0"

    def last_stamp(self) -> str:
        """`fetched_to` likewise; above every time when there is none."""
        return re.sub(r"\D", "", self.fetched_to) if self.fetched_to else "9"

    def patterns(self) -> tuple[UrlPattern, ...]:
        """What URLs may match, without repetitions, in the order of the fields; raises `PatternError`."""
        found = [UrlPattern.of_url(value) for value in self.urls]
        for kind, values in (("host", self.hosts), ("domain", self.domains), ("tld", self.tlds)):
            found += [UrlPattern.of_host(kind, value) for value in values]
        return tuple(dict.fromkeys(found))
