"""Requests to an index or data server: paced, retried with backoff and jitter, every answer checked against the ask.

One client a base URL. A request waits for its turn (`requests_per_second` over all threads); 429 and 503 hold up all
threads, for Retry-After or the backoff. A range that breaks off is continued where it broke, so bytes are not fetched
twice. A range answered by 200, by another range, or with content encoding is a wrong answer: it is retried (caches do
that in passing) and then given up; at most one piece of it is read. Redirects are not followed: a base is declared.
"""

import contextlib
import email.utils
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.errors import FetchError

THROTTLED: Final = frozenset({429, 503})
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 509})
PIECE: Final = 64 << 10
Answer = TypeVar("Answer")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class Clockwork:
    """Time and chance, passed in: seconds since the epoch, a wait, and a number in [0, 1) for jitter."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    chance: Callable[[], float]


class _WrongAnswerError(Exception):
    """An answer that is not what was asked for; `wait` is its Retry-After, `lasting` when a retry is useless."""

    def __init__(self, reason: str, detail: str, *, lasting: bool = False, wait: float | None = None) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.lasting, self.wait = reason, detail, lasting, wait


class Client:
    """Requests below one base URL; usable from several threads. `received` counts body bytes, wrong ones too."""

    def __init__(self, base: str, config: CommonCrawlConfig, work: Clockwork) -> None:
        self._base = base
        self._config = config
        self._work = work
        self._pool = PoolManager(
            num_pools=4,
            maxsize=config.concurrency,
            retries=False,
            timeout=config.timeout_seconds,
            headers={"User-Agent": config.user_agent, "Accept-Encoding": "identity"},
        )
        self._turn = threading.Lock()
        self._stopped = threading.Event()
        self._next = float("-inf")
        self.received = 0
        self.requests = 0

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, limit: int) -> tuple[int, bytes]:
        """Status (200 or 404) and body of at most `limit` bytes; raises `FetchError`."""
        address = f"{path}?{urlencode(params, doseq=True)}" if params else path

        def once() -> tuple[int, bytes]:
            with self._answer(address, {}) as response:
                if response.status not in (200, 404):
                    raise _refused(response, self._work.clock)
                body = bytearray()
                self._stream(response, body, limit)
                return response.status, bytes(body)

        return self._persist(address, once)

    def size(self, path: str) -> int:
        """Bytes of a file, from the answer to a range of one byte."""

        def once() -> int:
            with self._answer(path, {"Range": "bytes=0-0"}) as response:
                total = _total(response, 0, 1, self._work.clock)
                self._stream(response, bytearray(), 1)
                return total

        return self._persist(path, once)

    def range(self, path: str, start: int, end: int) -> bytes:
        """The bytes `start` to `end` (excluded) of a file; raises `FetchError`."""
        body = bytearray()

        def once() -> bytes:
            at = start + len(body)
            with self._answer(path, {"Range": f"bytes={at}-{end - 1}"}) as response:
                _total(response, at, end - at, self._work.clock)
                self._stream(response, body, end - start)
            if len(body) < end - start:
                raise _WrongAnswerError("cut", f"the answer ended {end - start - len(body)} bytes early")
            return bytes(body)

        return self._persist(path, once)

    def stop(self) -> None:
        """Let requests that are being retried fail at once: nobody waits for them any more."""
        self._stopped.set()

    def close(self) -> None:
        self._pool.clear()

    def _persist(self, address: str, once: Callable[[], Answer]) -> Answer:
        config = self._config
        for attempt in range(config.retries + 1):
            try:
                return once()
            except _WrongAnswerError as error:
                failed = FetchError(error.reason, f"{self._base}/{address}: {error.detail}", lasting=error.lasting)
                asked = error.wait
            except (HTTPError, OSError, ValueError) as error:
                failed = FetchError(
                    "unreachable", f"{self._base}/{address}: {type(error).__name__}: {str(error)[:200]}", lasting=False
                )
                asked = None
            if failed.lasting or attempt == config.retries or self._stopped.is_set():
                raise failed
            # Full waits differ by up to half, so that clients that failed together do not return together.
            wait = min(config.backoff_seconds * 2**attempt, config.max_backoff_seconds)
            wait *= 0.5 + 0.5 * self._work.chance()
            wait = max(wait, min(asked or 0.0, 10 * config.max_backoff_seconds))
            if asked is not None:
                with self._turn:
                    self._next = max(self._next, self._work.clock() + wait)
            self._work.sleep(wait)
        raise AssertionError("the loop returns or raises")

    @contextlib.contextmanager
    def _answer(self, address: str, headers: Mapping[str, str]) -> Any:
        self._wait_for_turn()
        path, question, query = address.partition("?")
        response = self._pool.request(
            "GET",
            f"{self._base}/{quote(path, safe='/=')}{question}{query}",
            headers={**self._pool.headers, **headers},
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )
        whole = False
        try:
            yield response
            whole = response.length_remaining == 0
        finally:
            # Only a body that was read to its end leaves the connection usable.
            if whole:
                response.release_conn()
            else:
                response.close()

    def _stream(self, response: Any, body: bytearray, limit: int) -> None:
        """Append the body; on a break what came before it stays."""
        deadline = self._work.clock() + self._config.max_request_seconds
        left = response.length_remaining
        while left is None or left > 0:
            # http.client's read1 does not count down Content-Length before Python 3.12 and would read past it.
            piece = response.read1(PIECE if left is None else min(PIECE, left), decode_content=False)
            if not piece:
                if left:
                    raise _WrongAnswerError("cut", f"the answer ended {left} bytes early")
                return
            with self._turn:
                self.received += len(piece)
            left = None if left is None else left - len(piece)
            if len(body) + len(piece) > limit:
                raise _WrongAnswerError("too_long", f"more than {limit} bytes", lasting=True)
            body += piece
            if self._work.clock() > deadline:
                raise _WrongAnswerError("too_slow", f"more than {self._config.max_request_seconds:g} seconds")

    def _wait_for_turn(self) -> None:
        while True:
            with self._turn:
                now = self._work.clock()
                pause = self._next - now
                if pause <= 0:
                    self._next = now + 1 / self._config.requests_per_second
                    self.requests += 1
                    return
            self._work.sleep(pause)


def _refused(response: Any, clock: Callable[[], float]) -> _WrongAnswerError:
    status = response.status
    if 300 <= status < 400:
        where = response.headers.get("Location", "")[:200]
        return _WrongAnswerError(f"http_{status}", f"redirects to {where!r}; declare that base instead", lasting=True)
    wait = _retry_after(response.headers.get("Retry-After"), clock)
    if status in THROTTLED:
        wait = wait or 0.0
    return _WrongAnswerError(f"http_{status}", f"answered {status}", lasting=status not in PASSING, wait=wait)


def _total(response: Any, start: int, length: int, clock: Callable[[], float]) -> int:
    """The size of the file from a 206 that answers exactly what was asked; raises for every other answer."""
    if response.status == 200:
        raise _WrongAnswerError("range_ignored", "answered 200 with the whole file to a request for a range")
    if response.status == 416:
        raise _WrongAnswerError("range_outside", f"has no bytes at {start}", lasting=True)
    if response.status != 206:
        raise _refused(response, clock)
    given = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if given is None or response.headers.get("Content-Encoding", "identity") != "identity":
        raise _WrongAnswerError("wrong_range", "a 206 without a usable Content-Range")
    first, last, total = int(given[1]), int(given[2]), given[3]
    if first == start and last < start + length - 1 and total != "*" and int(total) == last + 1:
        raise _WrongAnswerError("range_outside", f"the file ends at {total}, inside the range", lasting=True)
    if (first, last) != (start, start + length - 1):
        raise _WrongAnswerError("wrong_range", f"asked {start}-{start + length - 1}, was given {first}-{last}")
    announced = response.headers.get("Content-Length", str(length)).strip()
    if announced != str(length):
        raise _WrongAnswerError("wrong_range", f"{length} bytes asked, {announced[:20]} announced")
    return int(total) if total != "*" else start + length


def _retry_after(value: str | None, clock: Callable[[], float]) -> float | None:
    """Seconds, from either form of the header (RFC 9110 section 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - clock())
    except (ValueError, OverflowError, TypeError):
        return None
