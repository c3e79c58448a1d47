"""Fetching from servers that lie, drip, break off and inflate."""

import gzip
import itertools
import socket
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.connection import is_public
from pipelines.corpus.acquisition.crawl.fetch import Exchange, Fetcher, gunzip
from tests.pipelines.corpus.acquisition.crawl.loopback import FakeClock, Reply, Site, serve, steady


def fetch(
    site: Site,
    path: str = "/",
    host: str = "127.0.0.1",
    clock: FakeClock | None = None,
    chance: Callable[[], float] = steady,
    **settings: Any,
) -> Exchange:
    clock = clock or FakeClock()
    values = {
        "seeds": ["http://x/"],
        "allow_private_hosts": ["127.0.0.1"],
        "retries": 0,
        "timeout_seconds": 5.0,
        **settings,
    }
    fetcher = Fetcher(CrawlConfig(**values), clock=clock, sleep=clock.sleep, chance=chance)
    try:
        return fetcher.page(f"http://{host}:{site.port}{path}")
    finally:
        fetcher.close()


def raw(data: bytes) -> Reply:
    return Reply(write=lambda handler: handler.wfile.write(data))


def test_the_exchange_holds_the_bytes_of_the_wire() -> None:
    wire = b"HTTP/1.0 200 Fine\r\nconTENT-type:  text/html ; Charset='Latin-1'\r\nX-Odd:\tv\xe9\r\n\r\n<html>"
    with serve({"/a?b=c": raw(wire)}) as site:
        got = fetch(site, "/a?b=c")
    assert (got.outcome, got.status, got.content_type, got.charset) == ("fetched", 200, "text/html", "Latin-1")
    assert b"".join(got.head) + got.body == wire
    assert got.request.startswith(
        b"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: Gristmill/0.1\r\n" % site.port
    )
    assert got.request.endswith(b"\r\n\r\n")
    assert got.peer == "127.0.0.1"


@pytest.mark.parametrize(
    ("wire", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nshort", "error:truncated"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            "error:truncated",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhel",
            "error:truncated",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "error:transfer_encoding",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: br\r\n\r\nx", "error:content_encoding"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\nx", "error:content_encoding"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1\r\n\r\nx", "wrong_type"),
        (b"HTTP/1.1 200 OK\r\n\r\nno type", "wrong_type"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 99999999999\r\n\r\n", "too_big"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + b"x" * (1 << 20), "too_big"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "error:no_location"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "error:http_404"),
        (b"HTTP/1.1 204 Nothing\r\n\r\n", "error:http_204"),
        (
            b"HTTP/1.1 200 OK\r\n" + b"".join(b"A%d: %s\r\n" % (n, b"x" * 900) for n in range(60)) + b"\r\n",
            "error:long_head",
        ),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 150 + b"\r\n", "error:protocol"),
        (b"garbage\r\n\r\n", "error:protocol"),
        (b"", "error:protocol"),
    ],
)
def test_outcomes(wire: bytes, outcome: str) -> None:
    with serve({"/": raw(wire)}) as site:
        assert fetch(site, max_page_bytes=100_000).outcome == outcome


def test_a_too_short_content_length_ends_the_body_there() -> None:
    with serve(
        {"/": raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello and more")}
    ) as site:
        assert fetch(site).body == b"hello"


def test_chunks_are_joined() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire = head + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: x\r\n\r\n"
    with serve({"/": raw(wire)}) as site:
        got = fetch(site)
    assert (got.outcome, got.body, got.chunked) == ("fetched", b"abcdefg", True)


def test_informational_responses_are_skipped() -> None:
    wire = (
        b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx"
    )
    with serve({"/": raw(wire)}) as site:
        got = fetch(site)
    assert got.head[0] == b"HTTP/1.1 200 OK\r\n"
    assert got.body == b"x"


def test_a_gzip_bomb_stops_at_the_limit() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    assert len(bomb) < 300_000
    gz = {"Content-Encoding": "gzip"}
    with serve({"/": Reply(bomb, headers=gz), "/ok": Reply(gzip.compress(b"<p>fine") * 3, headers=gz)}) as site:
        assert fetch(site, max_decoded_bytes=1 << 20).outcome == "bomb"
        fine = fetch(site, "/ok")
    assert fine.decoded == b"<p>fine" * 3
    assert fine.body == gzip.compress(b"<p>fine", mtime=None)[:4] + fine.body[4:]
    assert len(gunzip(bomb, 1000) or b"") == 1001


def _seconds(members: int) -> float:
    data = gzip.compress(b"", mtime=0) * members
    began = time.process_time()
    assert gunzip(data, 1 << 20) == b""
    return time.process_time() - began


@pytest.mark.timeout(30)
def test_gzip_members_without_end_cost_by_their_number() -> None:
    """The rest of the body was copied at each end of a member: 4 MB of empty ones took 9 seconds, 50 MB 20 minutes."""
    assert _seconds(200_000) < 8 * max(_seconds(50_000), 0.05)


@given(
    st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 3000), st.integers(0, 3)), max_size=5),
    st.integers(0, 10_000),
    st.integers(0, 200),
)
def test_gunzip_is_that_of_the_standard_library(parts: list[tuple[bytes, int, int]], limit: int, cut: int) -> None:
    data = b"".join(gzip.compress(text * times, mtime=0) + bytes(zeros) for text, times, zeros in parts)
    whole = b"".join(text * times for text, times, _ in parts)
    assert gunzip(data, limit) == (whole if len(whole) <= limit else whole[: limit + 1])
    if parts and parts[-1][2] == 0:
        got = gunzip(data[: -1 - cut % 8], limit)
        assert got is None or len(got) == limit + 1
        got = gunzip(data + b"x", limit)
        assert got is None or len(got) == limit + 1


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_dripping_server_is_cut_off(part: str) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        start = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + (b"\r\n" if part == "body" else b"")
        for piece in itertools.chain([start], itertools.repeat(b"x", 200)):
            handler.wfile.write(piece)
            handler.wfile.flush()
            time.sleep(0.05)

    with serve({"/": Reply(write=drip)}) as site:
        started = time.monotonic()
        got = fetch(site, max_page_seconds=0.4)
    assert got.outcome == "error:too_slow"
    assert time.monotonic() - started < 3


def test_a_silent_server_times_out() -> None:
    with serve({"/": Reply(write=lambda handler: time.sleep(1.0))}) as site:
        assert fetch(site, timeout_seconds=0.2).outcome == "error:timeout"


def test_nobody_listens() -> None:
    with serve({}) as site:
        pass
    assert fetch(site).outcome == "error:connect"


def test_passing_failures_are_tried_again_with_doubled_waits_and_jitter() -> None:
    for chance, slept in ((steady, [2.0, 4.0]), (lambda: 0.0, [1.0, 2.0]), (lambda: 0.5, [1.5, 3.0])):
        replies = iter([Reply(status=503), Reply(status=503), Reply(b"<p>up")])
        clock = FakeClock()
        with serve({"/": lambda _, replies=replies: next(replies)}) as site:
            got = fetch(site, retries=3, backoff_seconds=2.0, clock=clock, chance=chance)
        assert got.outcome == "fetched"
        assert clock.slept == slept
        assert site.requests["/"] == 3


@pytest.mark.parametrize(
    ("value", "waits"),
    [
        ("7", [7.0]),
        ("60", [60.0]),
        ("61", []),
        ("9999", []),
        ("Tue, 14 Nov 2023 22:13:50 GMT", [30.0]),
        ("soon", [1.0]),
    ],
)
def test_no_retry_before_retry_after(value: str, waits: list[float]) -> None:
    """A host that asks for more than the longest wait is not asked again."""
    clock = FakeClock(1_700_000_000.0)  # Tue, 14 Nov 2023 22:13:20 GMT
    with serve({"/": Reply(status=429, headers={"Retry-After": value})}) as site:
        assert fetch(site, retries=1, clock=clock).outcome == "error:http_429"
    assert clock.slept == waits
    assert site.requests["/"] == 1 + len(waits)


def test_lasting_failures_are_not_tried_again() -> None:
    with serve({"/": Reply(status=404)}) as site:
        fetch(site, retries=5)
    assert site.requests["/"] == 1


def test_a_private_address_is_refused_unless_its_host_is_declared() -> None:
    with serve({"/": "<p>secret"}) as site:
        assert fetch(site, allow_private_hosts=[]).outcome == "error:private_address"
        # The name is not declared, its resolved address is the same loopback.
        assert fetch(site, host="localhost").outcome == "error:private_address"
        assert fetch(site, host="2130706433").outcome == "error:private_address"  # 127.0.0.1 as one number
        assert site.requests["/"] == 0
        assert fetch(site, host="localhost", allow_private_hosts=["localhost"]).outcome == "fetched"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("::ffff:8.8.8.8", True),
        ("::127.0.0.1", False),  # IPv4-compatible, deprecated
        ("64:ff9b:1::1", False),  # local NAT64
        ("fec0::1", False),
        ("192.0.0.8", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_name_is_looked_up_once_and_every_address_of_the_answer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: what is connected to is what was judged, whatever a second look-up would say."""
    real, asked = socket.getaddrinfo, []
    answers = {"mixed.test": ["93.184.216.34", "127.0.0.1"], "mine.test": ["127.0.0.1"]}

    def resolve(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        asked.append(host)
        found = answers.get(host, [host])
        if host == "mine.test" and asked.count(host) > 1:
            found = ["10.0.0.1"]
        return [item for address in found for item in real(address, port, *rest, **options)]

    with serve({"/": "<p>page"}) as site:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert fetch(site, host="mixed.test").outcome == "error:private_address"
        exchange = fetch(site, host="mine.test", allow_private_hosts=["mine.test"])
    assert (exchange.outcome, exchange.peer) == ("fetched", "127.0.0.1")
    assert asked.count("mixed.test") == asked.count("mine.test") == 1
