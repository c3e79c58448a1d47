"""A web server on loopback for the length of a block: any handler, quiet, never in the way of a test's end."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuietServer(ThreadingHTTPServer):
    """Requests in threads that nobody waits for; a client that hangs up is part of the tests."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass


class QuietFiles(SimpleHTTPRequestHandler):
    """The files of a folder, without a line on the terminal for each request."""

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    """Run a server; gives its URL without a slash at the end."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def quiet_server(handler: Callable[..., BaseHTTPRequestHandler], port: int = 0) -> QuietServer:
    """A server on loopback, on a free port unless one is named; it answers once it runs."""
    return QuietServer(("127.0.0.1", port), handler)
