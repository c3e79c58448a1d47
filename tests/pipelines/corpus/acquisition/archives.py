"""Hostile and well-formed archives, made in tests, and reading in a process with a memory limit."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.packages import UnresolvedPathError, resolve_path
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Drop, Record


def warc_record(
    body: bytes, kind: str = "response", length: int | None = None, url: str = "http://a.example/"
) -> bytes:
    """One WARC/1.0 record with an HTTP response around `body`; `length` overrides the true Content-Length."""
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
    return raw_record(block, kind, length, url, "application/http; msgtype=response")


def raw_record(
    block: bytes, kind: str, length: int | None = None, url: str = "http://a.example/", media: str = ""
) -> bytes:
    head = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Target-URI: {url}",
        "WARC-Date: 2024-05-18T01:58:10Z",
        "WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>",
        f"Content-Type: {media or 'text/plain'}",
        f"Content-Length: {len(block) if length is None else length}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def arc_record(body: bytes, length: int | None = None, url: str = "http://a.example/", extra: str = "") -> bytes:
    """One ARC record: a header line, an HTTP response around `body`, and a line end."""
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    head = f"{url} 192.0.2.1 20040102030405 text/html {extra}{len(block) if length is None else length}\n"
    return head.encode() + block + b"\n"


def read_bytes(folder: Path, data: bytes, config: ReaderConfig) -> list[Record | Drop]:
    """Everything in an archive of these bytes, under the name `x`."""
    path = folder / "archive"
    path.write_bytes(data)
    return list(read_records(path, "x", config))


def kinds(items: list[Record | Drop]) -> list[str]:
    """The reason of each drop, and the first letter of each kept body."""
    return [bytes(item.body[:1]).decode() if isinstance(item, Record) else item.reason for item in items]  # type: ignore[arg-type]


def package_file(url: str) -> Path:
    """The file of a package that serves as data; the test is skipped where the package is not installed."""
    try:
        return resolve_path(url, Path())
    except UnresolvedPathError as error:
        pytest.skip(str(error))


_PROGRAM = """
import json, resource, sys
from collections import Counter
from pathlib import Path
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Drop
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
limit = int(sys.argv[3]) << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
config = ReaderConfig.model_validate_json(sys.argv[2])
counts = Counter("kept" if not isinstance(item, Drop) else item.reason
                 for item in read_records(Path(sys.argv[1]), "x", config))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([(peak - base) // 1024, counts]))
"""


def read_limited(path: Path, config: str, address_space_mb: int = 2048) -> tuple[int, dict[str, int]]:
    """(MiB that reading added to the resident peak, counts of kept and drop reasons), read in a limited process."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_PROGRAM), str(path), config, str(address_space_mb)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=Path(__file__).resolve().parents[4],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    added, counts = json.loads(done.stdout)
    return added, counts
