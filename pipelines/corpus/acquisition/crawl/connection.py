"""Connections that refuse private addresses and keep what went over the wire.

urllib3's connections with three changes: the host name is resolved here and every address is judged before it is
connected to (so a name that resolves to loopback, also at a second look-up, never gets a packet); the request and the
response head are kept as the bytes that were sent and received; a deadline can cut the socket from another thread.
One `Link` serves one origin, one request at a time; `Links` are those of an origin.
"""

import contextlib
import http.client
import ipaddress
import socket
import threading
from collections.abc import Collection, Iterator
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from pipelines.corpus.acquisition.crawl.urls import split_origin


class PrivateAddressError(Exception):
    """A host that was not declared private resolves to an address that is not public."""


def is_public(address: str) -> bool:
    """True for a globally routable unicast address; embedded IPv4 (mapped, 6to4, NAT64) is judged as IPv4.

    Of IPv6 only 2000::/3 is: the rest is unassigned, local (fec0::/10, 64:ff9b:1::/48) or IPv4 in disguise (::a.b.c.d).
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour
        if embedded is None and ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            ip = embedded
        elif ip not in _GLOBAL_UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _SPECIAL)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_SPECIAL = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("3fff::/20"))
"""Protocol assignments, and documentation that Python 3.11 does not know yet."""


class _HeadRecorder:
    """A response's file object while its head is read: keeps each line, and starts again after a 100 Continue."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.lines: list[bytes] = []

    def readline(self, limit: int = -1) -> bytes:
        if len(self.lines) > 1 and self.lines[-1] in (b"\r\n", b"\n"):
            self.lines.clear()
        line: bytes = self.stream.readline(limit)
        self.lines.append(line)
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _RecordedResponse(http.client.HTTPResponse):
    """http.client's response; `head` holds its status line and headers as received."""

    head: tuple[bytes, ...] = ()

    def begin(self) -> None:
        recorder = _HeadRecorder(self.fp)
        self.fp = recorder  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            self.head = tuple(recorder.lines)
            if self.fp is not None:
                self.fp = recorder.stream


class _Wire:
    """Mixed into urllib3's connections; `link` is set on the subclass that each `Link` makes."""

    link: "Link"
    response_class = _RecordedResponse
    sock: Any
    _dns_host: str

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        failure: Exception | None = None
        try:
            for address in self.link.addresses(name, self):
                # urllib3 connects to `_dns_host`; TLS and the Host header keep using the name.
                self._dns_host = address
                try:
                    connected: socket.socket = super()._new_conn()  # type: ignore[misc]
                except (NewConnectionError, ConnectTimeoutError) as error:
                    failure = error
                else:
                    self.link.peer = address
                    return connected
        finally:
            self._dns_host = name
        raise failure or NameResolutionError(name, self, socket.gaierror("no address"))  # type: ignore[arg-type]

    def send(self, data: Any) -> None:
        super().send(data)  # type: ignore[misc]
        self.link.sent += bytes(data)
        self.link.socket = self.sock


class Link:
    """The connection pool of one origin, and the record of the exchange that runs over it."""

    def __init__(self, origin: str, *, declared: Collection[str], timeout: float) -> None:
        scheme, self.host, port = split_origin(origin)
        self._declared = self.host in declared
        self.sent = b""
        self.peer = ""
        self.socket: socket.socket | None = None
        self.expired = False
        secure = scheme == "https"
        base = HTTPSConnection if secure else HTTPConnection
        self.pool = (HTTPSConnectionPool if secure else HTTPConnectionPool)(
            self.host, port, maxsize=1, block=False, retries=False, timeout=timeout
        )
        self.pool.ConnectionCls = type("_WiredConnection", (_Wire, base), {"link": self})

    def addresses(self, name: str, connection: Any) -> list[str]:
        """The addresses of the host, all judged; one that may not be asked refuses the host."""
        try:
            found = socket.getaddrinfo(name.strip("[]"), None, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(name, connection, socket.gaierror(str(error))) from error
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        if not self._declared:
            for address in addresses:
                if not is_public(address):
                    raise PrivateAddressError(
                        f"{name} resolves to {address}; declare it in allow_private_hosts to crawl it"
                    )
        return addresses

    @contextlib.contextmanager
    def exchange(self, seconds: float) -> Iterator[None]:
        """One request and its response; after `seconds` the socket is shut and `expired` is set."""
        self.sent, self.expired, self.socket = b"", False, None
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self.expired = True
        if self.socket is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown: it drops the TLS state under the thread that reads.
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self.pool.close()


class Links:
    """The links of one origin, `size` at most.

    The crawler keeps to that number by itself; a robots.txt that redirects here comes from another host's thread, and
    waits for its turn.
    """

    def __init__(self, origin: str, size: int, *, declared: Collection[str], timeout: float) -> None:
        self._origin, self._declared, self._timeout = origin, declared, timeout
        self._turns = threading.Semaphore(size)
        self._all: list[Link] = []
        self._idle: list[Link] = []

    @contextlib.contextmanager
    def one(self) -> Iterator[Link]:
        """A link that nobody else uses meanwhile."""
        with self._turns:
            try:
                link = self._idle.pop()
            except IndexError:
                link = Link(self._origin, declared=self._declared, timeout=self._timeout)
                self._all.append(link)
            try:
                yield link
            finally:
                self._idle.append(link)

    def close(self) -> None:
        for link in self._all:
            link.close()
