"""A web site on loopback for tests: pages in, every request counted, no header that changes between runs."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple

from tests.serving import quiet_server, serving


class Reply(NamedTuple):
    """A response; a header that is None is not sent (Content-Length is otherwise added)."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str | None] = {}
    write: Callable[[BaseHTTPRequestHandler], None] | None = None


Routes = Mapping[str, Reply | str | Callable[[str], Reply | str]]


class Site:
    """A running site: `base` is its URL, `requests` counts the paths asked for, in `order`."""

    def __init__(self, routes: Routes, fallback: Callable[[str], Reply | str] | None = None, port: int = 0) -> None:
        self.routes = dict(routes)
        self.fallback = fallback
        self.requests: Counter[str] = Counter()
        self.order: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.requests[self.path] += 1
                site.order.append(self.path)
                reply = site.reply(self.path)
                if reply.write is not None:
                    with contextlib.suppress(OSError):
                        reply.write(self)
                    self.close_connection = True
                    return
                headers = {
                    "Content-Type": "text/html; charset=utf-8",
                    "Content-Length": str(len(reply.body)),
                    **reply.headers,
                }
                self.send_response_only(reply.status)
                for name, value in headers.items():
                    if value is not None:
                        self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(reply.body)
                if headers["Content-Length"] is None or int(headers["Content-Length"]) != len(reply.body):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.server = quiet_server(Handler, port)
        self.port = self.server.server_address[1]
        self.base = f"http://127.0.0.1:{self.port}"

    def reply(self, path: str) -> Reply:
        route = self.routes.get(path)
        if route is None and self.fallback is not None and path != "/robots.txt":
            route = self.fallback(path)
        if callable(route):
            route = route(path)
        if route is None:
            return Reply(b"no such page", 404)
        return Reply(route.encode()) if isinstance(route, str) else route


@contextlib.contextmanager
def serve(routes: Routes, fallback: Callable[[str], Reply | str] | None = None, port: int = 0) -> Iterator[Site]:
    """Run a site for the length of a block."""
    site = Site(routes, fallback, port)
    with serving(site.server):
        yield site


def page(*links: str, text: str = "") -> str:
    return "<html><body>" + text + "".join(f'<a href="{link}">x</a>' for link in links) + "</body></html>"


class FakeClock:
    """Time that passes only by sleeping."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def steady() -> float:
    """Chance without jitter: the full wait."""
    return 1.0
