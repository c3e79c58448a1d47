"""A server with S3's own semantics for tests: moto on a free port of this machine, one request at a time.

moto looks for the name and stores the object in two steps; taken one at a time, its conditional put is as atomic as
that of S3. Requests are counted by kind, and can be refused for a while: a network that is away.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

BUCKET = "mill"


class S3Server:
    """The server: its URL, what it was asked, and whether it answers. Raises `ImportError` without moto and Flask."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class QuietHandler(WSGIRequestHandler):
            """Without a line on the terminal for each request."""

            def log(self, type: str, message: str, *args: Any) -> None: ...

        self.application = DomainDispatcherApplication(create_backend_app)
        self.one_at_a_time = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.away = False
        self.ignores_conditions = False
        self.server = make_server("127.0.0.1", 0, self.answer, threaded=True, request_handler=QuietHandler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self.ignores_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        condition = " if-none-match" if "HTTP_IF_NONE_MATCH" in environ else ""
        with self.one_at_a_time:
            self.requests[f"{environ['REQUEST_METHOD']}{condition}"] += 1
            if self.away:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response("400 Bad Request", [("Content-Type", "text/plain")])
                return [b"away"]
            return list(self.application(environ, start_response))

    def environment(self) -> dict[str, str]:
        """What a process needs to reach it as if it were S3."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with one empty bucket, `BUCKET`."""
    import botocore.session

    served = S3Server()
    thread = threading.Thread(target=served.server.serve_forever, name="s3", daemon=True)
    thread.start()
    try:
        client = botocore.session.get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=served.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_bucket(Bucket=BUCKET)
        yield served
    finally:
        served.server.shutdown()
        thread.join()
