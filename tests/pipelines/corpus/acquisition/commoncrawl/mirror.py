"""A Common Crawl on loopback: CDX server with pages, columnar index, archives with ranges, and every fault on request.

Its archives are real WARC files. Rows are made by warcio, and filters by the server's own reading of its protocol, so
that nothing of the code under test is its own witness.
"""

import contextlib
import gzip
import hashlib
import io
import json
import re
import socket
import threading
import time
from base64 import b32encode
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from warcio.archiveiterator import ArchiveIterator

from tests.serving import quiet_server, serving

CRAWL = "CC-MAIN-2024-22"
LANGUAGES = ("eng", "deu,eng", "eng,zho", "zho", None)
PAGE_LINES = 15


class Ask:
    """One request as faults see it: path, query, range, and how often it came before (a range: to the same end)."""

    def __init__(self, path: str, query: dict[str, list[str]], span: tuple[int, int] | None, times: int) -> None:
        self.path, self.query, self.span, self.times = path, query, span, times


Fault = Callable[[Ask], str | None]


def rows_of(name: str, path: Path, kinds: Collection[str] = ("response",)) -> list[dict[str, Any]]:
    """Index rows of the records of one archive."""
    rows = []
    with path.open("rb") as stream:
        iterator = ArchiveIterator(stream, no_record_parse=False)
        for record in iterator:
            payload = record.content_stream().read() if record.rec_type == "response" else b""
            raw_digest = record.rec_headers.get_header("WARC-Payload-Digest") or ""
            offset = iterator.get_record_offset()
            iterator.read_to_end(record)
            if record.rec_type not in kinds or record.http_headers is None:
                continue
            url = record.rec_headers.get_header("WARC-Target-URI")
            parts = urlsplit(url)
            status = record.http_headers.get_statuscode()
            moment = datetime.fromisoformat(record.rec_headers.get_header("WARC-Date").replace("Z", "+00:00"))
            host = (parts.hostname or "").lower()
            surt = ",".join(reversed(re.sub(r"^www\d*\.", "", host).split(".")))
            encoded = record.http_headers.get_header("Content-Encoding")
            digest = raw_digest.removeprefix("sha1:")
            if not digest and not encoded:
                digest = b32encode(hashlib.sha1(payload).digest()).decode()
            rows.append(
                {
                    "urlkey": f"{surt}){(parts.path or '/').lower()}{'?' + parts.query.lower() if parts.query else ''}",
                    "timestamp": moment.astimezone(UTC).strftime("%Y%m%d%H%M%S"),
                    "url": url,
                    "mime": (record.http_headers.get_header("Content-Type") or "unk").partition(";")[0].strip(),
                    "mime-detected": "text/html" if b"<html" in payload[:4096].lower() else "text/plain",
                    "status": status,
                    "digest": digest,
                    "length": str(iterator.get_record_length()),
                    "offset": str(offset),
                    "filename": name,
                    "languages": LANGUAGES[len(url) % len(LANGUAGES)],
                    "host": host,
                    "moment": moment.astimezone(UTC).replace(tzinfo=None),
                }
            )
    return rows


class Mirror:
    """The server: `files` by path, `rows` of the index; `asked` lists (path with query, range) of every request.

    `archives` are those of the subset `warc`, `others` those of further subsets, with their revisit records.
    """

    def __init__(
        self,
        archives: list[Path],
        *,
        crawl: str = CRAWL,
        group_rows: int = 25,
        others: Mapping[str, list[Path]] = MappingProxyType({}),
    ) -> None:
        self.files: dict[str, bytes] = {}
        self.rows: list[dict[str, Any]] = []
        self.asked: list[tuple[str, tuple[int, int] | None]] = []
        self.sent = 0
        self.connections = 0
        self.fault: Fault = lambda ask: None
        self.crawl = crawl
        for subset, paths in {"warc": archives, **others}.items():
            for number, path in enumerate(paths):
                name = f"crawl-data/{crawl}/segments/1715971057216.39/{subset}/{crawl}-{number:05d}.warc.gz"
                self.files[name] = path.read_bytes()
                self.rows += rows_of(name, path, ("response",) if subset == "warc" else ("response", "revisit"))
        self.rows.sort(key=lambda row: (row["urlkey"], row["timestamp"], row["filename"], int(row["offset"])))
        tables = [path for subset in ("warc", *others) for path in self._write_table(subset, group_rows)]
        self.files[f"crawl-data/{crawl}/cc-index-table.paths.gz"] = gzip.compress(
            "".join(f"{path}\n" for path in tables).encode()
        )
        self._lock = threading.Lock()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                mirror.connections += 1
                super().setup()

            def do_GET(self) -> None:
                with contextlib.suppress(OSError):
                    mirror.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = quiet_server(Handler)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"

    def ranges(self, part: str = "/segments/") -> list[tuple[str, tuple[int, int] | None]]:
        """The archive requests."""
        return [item for item in self.asked if part in item[0]]

    def _write_table(self, subset: str, group_rows: int) -> list[str]:
        """Two Parquet files of a subset in the layout of cc-index-table, sorted by url_surtkey; their paths."""
        rows = [row for row in self.rows if f"/{subset}/" in row["filename"]]
        columns = {
            "url_surtkey": [row["urlkey"] for row in rows],
            "url": [row["url"] for row in rows],
            "url_host_name": [row["host"] for row in rows],
            "url_host_tld": [row["host"].rpartition(".")[2] for row in rows],
            "url_host_registered_domain": [".".join(row["host"].split(".")[-2:]) for row in rows],
            "fetch_time": pa.array([row["moment"] for row in rows], pa.timestamp("ms")),
            "fetch_status": pa.array([int(row["status"]) for row in rows], pa.int16()),
            "content_digest": [row["digest"] for row in rows],
            "content_mime_type": [row["mime"] for row in rows],
            "content_mime_detected": [row["mime-detected"] for row in rows],
            "content_languages": [row["languages"] for row in rows],
            "warc_filename": [row["filename"] for row in rows],
            "warc_record_offset": pa.array([int(row["offset"]) for row in rows], pa.int32()),
            "warc_record_length": pa.array([int(row["length"]) for row in rows], pa.int32()),
            "warc_segment": ["1715971057216.39" for _ in rows],
        }
        table = pa.table(columns)
        half = len(table) // 2
        paths = []
        for number, piece in enumerate((table.slice(0, half), table.slice(half))):
            path = f"cc-index/table/cc-main/warc/crawl={self.crawl}/subset={subset}/part-{number:05d}.gz.parquet"
            sink = io.BytesIO()
            pq.write_table(piece, sink, row_group_size=group_rows, compression="gzip")
            self.files[path] = sink.getvalue()
            paths.append(path)
        return paths

    # -- answering -----------------------------------------------------------------------------------------------

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = parse_qs(parts.query)
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        span = (int(asked[1]), int(asked[2]) + 1) if asked else None
        with self._lock:
            end = span and span[1]
            times = sum(path == handler.path and (known and known[1]) == end for path, known in self.asked)
            self.asked.append((handler.path, span))
        fault = self.fault(Ask(parts.path, query, span, times))
        if fault == "drop":
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if fault is not None and fault.split()[0] in ("429", "503", "500", "404", "403", "301"):
            code, _, wait = fault.partition(" ")
            headers = {"Retry-After": wait} if wait else {}
            self._send(handler, int(code), b"slow down", headers | ({"Location": "/x"} if code == "301" else {}))
            return
        if parts.path == "/collinfo.json":
            body = json.dumps([{"id": self.crawl, "cdx-api": f"{self.base}/{self.crawl}-index"}]).encode()
            self._send(handler, 200, body, {}, fault)
        elif parts.path == f"/{self.crawl}-index":
            self._send(handler, *self._cdx(query), {}, fault)
        else:
            data = self.files.get(parts.path.removeprefix("/"))
            if data is None:
                self._send(handler, 404, b"<h1>no such key", {})
            elif span is None or fault == "200":
                self._send(handler, 200, data, {}, fault)
            elif span[0] >= len(data):
                self._send(handler, 416, b"", {"Content-Range": f"bytes */{len(data)}"})
            else:
                first, stop = (span[0] + 7, span[1] + 7) if fault == "wrong_range" else span
                body = data[first : min(stop, len(data))]
                if fault == "corrupt":
                    middle = len(body) // 2
                    body = body[:middle] + bytes([body[middle] ^ 0x55]) + body[middle + 1 :]
                self._send(
                    handler, 206, body, {"Content-Range": f"bytes {first}-{first + len(body) - 1}/{len(data)}"}, fault
                )

    def _send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str],
        fault: str | None = None,
    ) -> None:
        handler.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if fault == "cut":
            body = body[: len(body) // 2]
            handler.close_connection = True
        if fault == "drip":
            for at in range(0, len(body), 64):
                handler.wfile.write(body[at : at + 64])
                time.sleep(0.01)
            return
        self.sent += len(body)
        handler.wfile.write(body)

    def _cdx(self, query: dict[str, list[str]]) -> tuple[int, bytes]:
        """pywb's reading of the parameters: filters are ANDed, `~` matches from the start."""
        url, kind = query["url"][0], query.get("matchType", ["exact"])[0]
        host, _, path = url.partition("/")
        surt = ",".join(reversed(host.split(".")))
        prefix = f"{surt})/{path.lower()}"
        found = []
        for row in self.rows:
            key = row["urlkey"]
            inside = {
                "exact": key == prefix,
                "prefix": key.startswith(prefix),
                "host": key.startswith(f"{surt})"),
                "domain": key.startswith((f"{surt})", f"{surt},")),
            }[kind]
            if inside and all(_passes(row, text) for text in query.get("filter", [])):
                low, high = query.get("from", [""])[0], query.get("to", ["9"])[0]
                if low <= row["timestamp"] <= high.ljust(14, "9"):
                    found.append(row)
        pages = -(-len(found) // PAGE_LINES)
        if "showNumPages" in query:
            return 200, json.dumps({"pages": pages, "pageSize": 1, "blocks": pages}).encode()
        page = int(query.get("page", ["0"])[0])
        shown = found[page * PAGE_LINES : (page + 1) * PAGE_LINES]
        if not shown:
            return 404, json.dumps({"message": f"No Captures found for: {url}"}).encode()
        fields = query["fl"][0].split(",")
        lines = [json.dumps({name: row[name] for name in fields if row.get(name) is not None}) for row in shown]
        return 200, "".join(f"{line}\n" for line in lines).encode()


def _passes(row: dict[str, Any], text: str) -> bool:
    mode = text[0] if text[0] in "=~" else ""
    field, _, wanted = text.removeprefix(mode).partition(":")
    value = row.get(field) or ""
    if mode == "=":
        return value == wanted
    return re.match(wanted, value) is not None if mode == "~" else wanted in value


@contextlib.contextmanager
def running(mirror: Mirror) -> Iterator[Mirror]:
    """Serve for the length of a block."""
    with serving(mirror.server):
        yield mirror
