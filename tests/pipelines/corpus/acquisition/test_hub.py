"""Data sets at `hf://` against a loopback stand-in of the Hub: listed, chosen, pinned by digest, fetched, refused."""

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from pipelines.corpus.acquisition.dataset_layout import CARD, DatasetConfig, dataset_layout
from pipelines.corpus.acquisition.remote import Remote, RemoteChangedError, fetch, read_remote, take_remote_inventory
from tests.serving import quiet_server, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "README.md": b"---\nlicense: odc-by\n---\n",
    "data/train-00000-of-00001.parquet": b"PAR1 train" * 1000,
    "data/test-00000-of-00001.parquet": b"PAR1 test",
}


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(path: str, data: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(data), "oid": _blob(data)}
    if path.endswith(".parquet"):
        digest = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
    return entry


class _Hub(BaseHTTPRequestHandler):
    """The few calls of the Hub's interface that its file system makes."""

    files: dict[str, bytes]

    def log_message(self, *_: Any) -> None:
        pass

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        try:
            paths = json.loads(body)["paths"]
        except ValueError:
            paths = parse_qs(body)["paths"]
        found = [_entry(path, self.files[path]) for path in paths if path in self.files]
        found += [
            {"type": "directory", "path": path, "oid": "0" * 40}
            for path in paths
            if path not in self.files and any(name.startswith(f"{path}/") for name in self.files)
        ]
        self._json(found)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if "/tree/" in path:
            below = path.partition("/tree/")[2].partition("/")[2]
            self._json([_entry(name, data) for name, data in self.files.items() if name.startswith(below)])
        elif path.startswith("/api/datasets/"):
            self._json({"id": "org/set", "sha": COMMIT, "siblings": [], "private": False, "tags": [], "downloads": 0})
        else:
            name = path.partition("/resolve/")[2].partition("/")[2]
            data = self.files.get(name)
            if data is None:
                self.send_error(404)
                return
            start, status = 0, 200
            if asked := self.headers.get("Range"):
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start, status = int(first), 206
                whole, data = len(data), data[start : int(last) + 1 if last else None]
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{whole}")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", '"x"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    monkeypatch.setattr(_Hub, "files", dict(FILES), raising=False)
    with serving(quiet_server(_Hub)) as endpoint:
        yield Remote(f"hf://datasets/org/set@{COMMIT}", {"endpoint": endpoint, "token": False})


def test_a_split_of_a_data_set_is_pinned_by_its_digests_and_fetched(hub: Remote, tmp_path: Path) -> None:
    card = read_remote(hub, CARD, 1000)
    assert card == FILES["README.md"]
    inventory = take_remote_inventory(
        hub, choose=lambda names: dataset_layout(card, names, DatasetConfig(split="train")).names
    )
    (row,) = inventory.files.to_pylist()
    data = FILES["data/train-00000-of-00001.parquet"]
    digest = hashlib.sha256(data).hexdigest()
    assert row == {"path": "data/train-00000-of-00001.parquet", "bytes": len(data), "digest": f"sha256:{digest}"}
    assert (inventory.found, inventory.left_out) == (3, 2)
    assert fetch(hub, row["path"], row["bytes"], row["digest"], tmp_path / "copy") == digest
    assert (tmp_path / "copy").read_bytes() == data
    _Hub.files[row["path"]] = data[:-1] + b"!"
    with pytest.raises(RemoteChangedError, match="train-00000"):
        fetch(hub, row["path"], row["bytes"], row["digest"], tmp_path / "copy")


def test_a_small_file_is_pinned_and_proved_by_its_blob(hub: Remote, tmp_path: Path) -> None:
    rows = {row["path"]: row for row in take_remote_inventory(hub).files.to_pylist()}
    card = rows["README.md"]
    assert card["digest"] == f"git:{_blob(FILES['README.md'])}"
    fetch(hub, "README.md", card["bytes"], card["digest"], tmp_path / "copy")
    _Hub.files["README.md"] = FILES["README.md"].replace(b"odc", b"mit")
    with pytest.raises(RemoteChangedError, match=r"README\.md"):
        fetch(hub, "README.md", card["bytes"], card["digest"], tmp_path / "copy")
