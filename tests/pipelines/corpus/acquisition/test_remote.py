"""Remote sources against fsspec's memory file system and a loopback web server: sealed, fetched, never exchanged."""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipelines.corpus.acquisition.inventory import take_inventory
from pipelines.corpus.acquisition.remote import (
    Remote,
    RemoteChangedError,
    RemoteError,
    _mark,
    fetch,
    is_url,
    read_remote,
    take_remote_inventory,
    why_unreachable,
)
from tests.serving import QuietFiles, quiet_server, serving

FILES = {"a.jsonl": b'{"text": "a"}\n', "deep/b c.jsonl": b"b" * 3_000_000, "deep/skip.txt": b"no", "README.md": b"x"}


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> Iterator[Remote]:
    files = fsspec.filesystem("memory")
    root = f"/{request.node.name}"
    for name, data in FILES.items():
        files.pipe_file(f"{root}/{name}", data)
    yield Remote(f"memory:/{root}")
    files.rm(root, recursive=True)


class _Quiet(QuietFiles):
    etags = True

    def end_headers(self) -> None:
        path = Path(self.translate_path(self.path))
        if self.etags and path.is_file():
            self.send_header("ETag", f'"{hashlib.md5(path.read_bytes()).hexdigest()}"')
        super().end_headers()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A loopback server of a folder: (its URL, the folder)."""
    folder = tmp_path / "site"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    with serving(quiet_server(partial(_Quiet, directory=str(folder)))) as url:
        yield url, folder


def test_urls_are_told_from_paths() -> None:
    assert all(is_url(text) for text in ("s3://b/k", "hf://datasets/o/n@v/x", "https://h/x", "memory://x"))
    assert not any(is_url(text) for text in ("/a/b", "package:x/y", "stdlib:", "a:b", "C:/x", "./hf://x"))


def test_a_listing_is_that_of_a_folder(memory: Remote, tmp_path: Path) -> None:
    """The same files here and there: the same names and sizes, whatever the patterns."""
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    for patterns, exclude in ((("**",), ()), (("*.jsonl",), ()), (("**/*.jsonl",), ("deep/**",))):
        here, there = take_inventory(tmp_path, patterns, exclude), take_remote_inventory(memory, patterns, exclude)
        assert there.files.select(["path", "bytes"]) == here.files.select(["path", "bytes"])
        assert (there.found, there.left_out) == (here.found, here.left_out)
        assert there.found == len(there.files) + len(there.skipped) + there.left_out
    everything = take_remote_inventory(memory)
    for row in everything.files.to_pylist():
        name = row["path"]
        digest = fetch(memory, name, row["bytes"], row["digest"], tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == FILES[name]
        assert digest == hashlib.sha256(FILES[name]).hexdigest()
    assert read_remote(memory, "README.md", 100) == b"x"
    assert read_remote(memory, "none", 100) is None


@pytest.mark.parametrize("etags", [True, False])
def test_a_file_of_a_web_server_is_pinned_and_a_change_is_named(
    web: tuple[str, Path], tmp_path: Path, etags: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Quiet, "etags", etags)
    url, folder = web
    remote = Remote(f"{url}/deep/b%20c.jsonl")
    (row,) = take_remote_inventory(remote).files.to_pylist()
    assert row["bytes"] == 3_000_000
    assert row["digest"].startswith("etag:" if etags else "changed:")
    fetch(remote, row["path"], row["bytes"], row["digest"], tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == FILES["deep/b c.jsonl"]
    (folder / "deep/b c.jsonl").write_bytes(b"c" * (3_000_000 if etags else 2_999_999))
    with pytest.raises(RemoteChangedError, match="changed since the batch was sealed"):
        fetch(remote, row["path"], row["bytes"], row["digest"], tmp_path / "copy")
    (folder / "deep/b c.jsonl").unlink()
    with pytest.raises(RemoteChangedError, match="is gone"):
        fetch(remote, row["path"], row["bytes"], row["digest"], tmp_path / "copy")


def test_a_folder_of_a_web_server_is_listed_by_its_links(web: tuple[str, Path], tmp_path: Path) -> None:
    url, _ = web
    inventory = take_remote_inventory(Remote(f"{url}/"), ("*.jsonl",))
    assert inventory.files["path"].to_pylist() == ["a.jsonl"]
    (row,) = inventory.files.to_pylist()
    fetch(Remote(f"{url}/"), row["path"], row["bytes"], row["digest"], tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == FILES["a.jsonl"]


def test_a_changed_file_is_never_read_under_its_old_name(memory: Remote, tmp_path: Path) -> None:
    rows = {row["path"]: row for row in take_remote_inventory(memory).files.to_pylist()}
    fsspec.filesystem("memory").pipe_file(memory.url.removeprefix("memory:/") + "/a.jsonl", b"other")
    with pytest.raises(RemoteChangedError, match=r"a\.jsonl"):
        fetch(memory, "a.jsonl", rows["a.jsonl"]["bytes"], rows["a.jsonl"]["digest"], tmp_path / "copy")
    with pytest.raises(RemoteChangedError, match="sha256"):
        fetch(memory, "README.md", 1, "sha256:" + "0" * 64, tmp_path / "copy")


def test_a_url_that_names_nothing_is_told(memory: Remote, web: tuple[str, Path]) -> None:
    url, _ = web
    for remote in (memory, Remote(f"{url}/"), Remote(f"{url}/a.jsonl")):
        assert why_unreachable(remote) == ""
    for remote in (Remote("memory://nothing-here"), Remote(f"{url}/none.jsonl"), Remote("nosuch://a/b")):
        assert remote.url in why_unreachable(remote)


def test_what_cannot_be_listed_says_what_to_do() -> None:
    with pytest.raises(RemoteError, match="check the URL"):
        take_remote_inventory(Remote("memory://nothing-here"))
    with pytest.raises(RemoteError, match="no driver for nosuch"):
        take_remote_inventory(Remote("nosuch://a/b"))
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1:9/x\.jsonl"):
        take_remote_inventory(Remote("http://127.0.0.1:9/x.jsonl"))


@pytest.mark.parametrize(
    ("info", "mark"),
    [
        ({"lfs": {"sha256": "ab", "size": 1}, "blob_id": "cd"}, "sha256:ab"),
        ({"lfs": None, "blob_id": "cd"}, "git:cd"),
        ({"ETag": '"e"', "LastModified": "t"}, "etag:e"),
        ({"md5Hash": "m", "etag": "e"}, "md5:m"),
        ({"mtime": 1.5}, "changed:1.5"),
        ({"size": 3}, ""),
    ],
)
def test_the_strongest_mark_is_taken(info: dict[str, Any], mark: str) -> None:
    assert _mark(info) == mark
