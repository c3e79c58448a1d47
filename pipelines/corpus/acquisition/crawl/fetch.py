"""One URL in, one exchange out: the bytes sent and received, and an outcome. Nothing is raised for what a server does.

Steps: connect to a judged address (`connection`); send a GET whose bytes are kept; read the head; refuse by status,
media type, encoding and announced length before the body; stream the body as transferred, up to `limit`; undo the
content encoding up to `max_decoded_bytes` (a gzip bomb ends as `bomb`); try again after a passing failure, with
doubled waits and jitter, never before a Retry-After.
Redirects are not followed here: they are exchanges of their own, judged by the frontier like every other URL.
"""

import contextlib
import email.utils
import re
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Final

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from pipelines.corpus.acquisition.crawl import urls
from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.connection import Link, Links, PrivateAddressError

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
RETRIED_STATUS: Final = frozenset({429, 500, 502, 503, 504})
RETRIED_ERRORS: Final = frozenset({"error:dns", "error:timeout", "error:connect", "error:protocol", "error:truncated"})
MAX_HEAD_BYTES: Final = 32 << 10
"""FastWARC reads HTTP heads up to 32 KiB: a longer one would be archived for nobody."""
PIECE: Final = 64 << 10
LEAST_PIECE: Final = 512
_ZEROS: Final = re.compile(rb"\0*+")


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one request gave. `head` and `body` are as received; `decoded` is the body without its content encoding."""

    url: str
    outcome: str
    status: int | None = None
    request: bytes = b""
    head: tuple[bytes, ...] = ()
    body: bytes = b""
    decoded: bytes = b""
    content_type: str = ""
    charset: str | None = None
    robots_tag: str = ""
    link_header: str = ""
    location: str | None = None
    chunked: bool = False
    peer: str = ""
    date: float = 0.0
    received: int = 0
    retry_after: float | None = None


class Fetcher:
    """Fetches for one crawl, in several threads; one connection serves one request at a time."""

    def __init__(
        self,
        config: CrawlConfig,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        chance: Callable[[], float],
    ) -> None:
        self._config = config
        self._chance = chance
        self._clock = clock
        self._sleep = sleep
        self._declared = frozenset(host.lower() for host in config.allow_private_hosts)
        self._links: dict[str, Links] = {}

    def page(self, url: str, *, delay: float = 0.0) -> Exchange:
        """A page of the crawl: kept when its media type and size fit. `delay` is the least wait before a retry."""
        config = self._config
        return self._persist(url, types=config.content_types, limit=config.max_page_bytes, cut=False, delay=delay)

    def robots(self, url: str, *, limit: int) -> Exchange:
        """A robots.txt of any media type, its body cut at `limit` bytes."""
        return self._persist(url, types=None, limit=limit, cut=True, delay=0.0)

    def sitemap(self, url: str, *, delay: float) -> Exchange:
        """A sitemap of any media type, whole."""
        limit = self._config.max_sitemap_bytes
        return self._persist(url, types=None, limit=limit, cut=False, delay=delay)

    def close(self) -> None:
        for links in self._links.values():
            links.close()
        self._links.clear()

    def _persist(self, url: str, *, types: Collection[str] | None, limit: int, cut: bool, delay: float) -> Exchange:
        received = 0
        for attempt in range(self._config.retries + 1):
            exchange = self._once(url, types=types, limit=limit, cut=cut)
            received += exchange.received
            passing = exchange.outcome in RETRIED_ERRORS or exchange.status in RETRIED_STATUS
            if not passing or attempt == self._config.retries:
                break
            asked = exchange.retry_after or 0.0
            if asked > self._config.max_backoff_seconds:
                break  # to ask sooner than the host says would be rude, and later is another crawl
            wait = min(self._config.backoff_seconds * 2**attempt, self._config.max_backoff_seconds)
            # Waits differ by up to half, so that hosts that failed together are not asked together again.
            self._sleep(max(wait * (0.5 + 0.5 * self._chance()), asked, delay))
        return replace(exchange, received=received)

    def _once(self, url: str, *, types: Collection[str] | None, limit: int, cut: bool) -> Exchange:
        date = self._clock()
        with self._link(urls.origin_of(url)) as link, link.exchange(self._config.max_page_seconds):
            try:
                response = link.pool.urlopen(
                    "GET",
                    urls.path_and_query(url),
                    headers=self._headers(url),
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                    assert_same_host=False,
                )
            except PrivateAddressError:
                return Exchange(url, "error:private_address", date=date)
            except (HTTPError, ValueError, OSError) as error:
                outcome = "error:too_slow" if link.expired else _failure(error)
                return Exchange(url, outcome, request=link.sent, peer=link.peer, date=date)
            exchange = self._judge_head(
                Exchange(url, "", request=link.sent, peer=link.peer, date=date), response, types, limit, cut
            )
            finished = False
            try:
                if exchange.outcome in ("", "redirected"):
                    exchange = self._read(exchange, response, link, limit, cut)
                    finished = exchange.outcome in ("", "redirected") and not cut
            finally:
                # Only a body that was read to its end leaves the connection usable.
                if finished:
                    response.release_conn()
                else:
                    response.close()
        if exchange.outcome:
            return exchange
        return self._decode(exchange, response.headers.get("Content-Encoding", ""), cut)

    def _headers(self, url: str) -> dict[str, str]:
        headers = {
            "Host": urls.site_of(url),
            "User-Agent": self._config.user_agent,
            "Accept": "text/html,application/xhtml+xml,text/plain;q=0.9,*/*;q=0.1",
            "Accept-Encoding": "gzip",
        }
        if self._config.accept_language:
            headers["Accept-Language"] = self._config.accept_language
        return headers

    def _judge_head(
        self, exchange: Exchange, response: Any, types: Collection[str] | None, limit: int, cut: bool
    ) -> Exchange:
        headers = response.headers
        media, charset = _media_type(headers.get("Content-Type", ""))
        transfer = headers.get("Transfer-Encoding", "").strip().lower()
        exchange = replace(
            exchange,
            status=response.status,
            head=response._original_response.head,
            content_type=media,
            charset=charset,
            robots_tag=headers.get("X-Robots-Tag", ""),
            link_header=headers.get("Link", "")[:MAX_HEAD_BYTES],
            chunked=transfer == "chunked",
        )
        if sum(map(len, exchange.head)) > MAX_HEAD_BYTES:
            return replace(exchange, outcome="error:long_head")
        if transfer not in ("", "chunked", "identity"):
            return replace(exchange, outcome="error:transfer_encoding")
        if response.status in REDIRECTS:
            location = headers.get("Location")
            if location is None:
                return replace(exchange, outcome="error:no_location")
            return replace(exchange, outcome="redirected", location=urls.resolve(exchange.url, _as_text(location)))
        if response.status != 200:
            wait = self._retry_after(headers.get("Retry-After"))
            return replace(exchange, outcome=f"error:http_{response.status}", retry_after=wait)
        if types is not None and media not in types:
            return replace(exchange, outcome="wrong_type")
        announced = headers.get("Content-Length", "")
        if not cut and not exchange.chunked and announced.isdecimal() and int(announced[:20]) > limit:
            return replace(exchange, outcome="too_big")
        return exchange

    def _read(self, exchange: Exchange, response: Any, link: Link, limit: int, cut: bool) -> Exchange:
        """Stream the body; the outcome stays as it is when all of it came."""
        pieces: list[bytes] = []
        received = 0
        left = response.length_remaining
        try:
            while received <= limit:
                # http.client's read1 does not count down Content-Length before Python 3.12 and would read past it.
                piece = response.read1(PIECE if left is None else max(1, min(PIECE, left)), decode_content=False)
                pieces.append(piece)
                received += len(piece)
                left = None if left is None else left - len(piece)
                if not piece or left == 0:
                    break
        except (HTTPError, ValueError, OSError) as error:
            failure = _failure(error)
            outcome = (
                "error:too_slow" if link.expired else "error:truncated" if failure == "error:protocol" else failure
            )
            return replace(exchange, outcome=outcome, received=received)
        if link.expired:
            return replace(exchange, outcome="error:too_slow", received=received)
        if received > limit and not cut:
            return replace(exchange, outcome="too_big", received=received)
        return replace(exchange, body=b"".join(pieces), received=received)

    def _decode(self, exchange: Exchange, encoding: str, cut: bool) -> Exchange:
        encoding = encoding.strip().lower()
        if encoding in ("", "identity"):
            return replace(exchange, outcome="fetched", decoded=exchange.body)
        if encoding not in ("gzip", "x-gzip"):
            return replace(exchange, outcome="error:content_encoding")
        decoded = gunzip(exchange.body, self._config.max_decoded_bytes)
        if decoded is None:
            return replace(exchange, outcome="error:content_encoding")
        if len(decoded) > self._config.max_decoded_bytes and not cut:
            return replace(exchange, outcome="bomb")
        return replace(exchange, outcome="fetched", decoded=decoded)

    def _retry_after(self, value: str | None) -> float | None:
        """Seconds, from either form of the header (RFC 9110 section 10.2.3)."""
        if value is None:
            return None
        if value.strip().isdecimal():
            return float(value.strip()[:9])
        try:
            return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - self._clock())
        except (ValueError, OverflowError):
            return None

    def _link(self, origin: str) -> contextlib.AbstractContextManager[Link]:
        links = self._links.get(origin)
        if links is None:
            config = self._config
            new = Links(origin, config.host_concurrency, declared=self._declared, timeout=config.timeout_seconds)
            links = self._links.setdefault(origin, new)  # atomic: two threads end up with one
        return links.one()


def gunzip(data: bytes, limit: int) -> bytes | None:
    """All gzip members of `data`, or the first `limit + 1` bytes of them; None when that is no whole gzip stream.

    A member is fed in growing pieces: what is left of a piece behind its end is copied, and a file may be nothing but
    members of 20 bytes.
    """
    pieces: list[bytes] = []
    size = at = 0
    whole = memoryview(data)
    while at < len(data):
        inflater = zlib.decompressobj(31)
        feed = LEAST_PIECE
        while not inflater.eof:
            if at == len(data):
                return None
            fed = whole[at : at + feed]
            try:
                piece = inflater.decompress(fed, limit + 1 - size)
            except zlib.error:
                return None
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                return b"".join(pieces)
            at += len(fed) - len(inflater.unused_data)
            feed = min(2 * feed, PIECE)
        padding = _ZEROS.match(data, at)
        at = padding.end() if padding else at
    return b"".join(pieces)


def _failure(error: Exception) -> str:
    """The outcome that names a failure; the classes are urllib3's, most special first."""
    if isinstance(error, NameResolutionError):
        return "error:dns"
    if isinstance(error, NewConnectionError):
        return "error:connect"
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError | TimeoutError):
        return "error:timeout"
    if isinstance(error, SSLError):
        return "error:tls"
    if isinstance(error, ProtocolError | OSError):
        return "error:protocol"
    return "error:response"


def _media_type(value: str) -> tuple[str, str | None]:
    """`("text/html", "utf-8")` of a Content-Type header; the charset as declared, or None."""
    media, *parameters = value.split(";")
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name.strip().lower() == "charset":
            return media.strip().lower(), text.strip().strip("\"'") or None
    return media.strip().lower(), None


def _as_text(header: str) -> str:
    """A Location header may hold raw UTF-8, which http.client reads as Latin-1."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return header
