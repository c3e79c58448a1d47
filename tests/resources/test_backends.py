"""Both backends behind the same verbs, and a whole cycle of a store on a remote file system."""

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from resources.backends import LocalBackend, StoreError, make_folder
from resources.housekeeping import collect, verify
from resources.remote_backend import RemoteBackend, open_backend
from resources.store import ArtifactStore
from tests.resources import toys

MEMORY = "memory://bucket/gristmill"


@pytest.fixture(autouse=True)
def empty_memory() -> Iterator[None]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture(params=["local", "remote"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> LocalBackend | RemoteBackend:
    if request.param == "local":
        return LocalBackend(tmp_path / "store")
    return RemoteBackend(MEMORY, tmp_path / "cache", single_writer=True)


def test_the_verbs(backend: LocalBackend | RemoteBackend) -> None:
    assert backend.names("refs/a") == []
    assert list(backend.walk("refs")) == []
    assert backend.create("refs/a/2.json", b"two") is True
    assert backend.create("refs/a/2.json", b"other") is False
    assert backend.create("refs/a/10.json", b"") is True
    assert backend.read("refs/a/2.json") == b"two"
    assert backend.head("refs/a/2.json", 2) == b"tw"
    assert backend.head("refs/a/10.json", 1) == b""
    assert backend.names("refs/a") == ["10.json", "2.json"]
    assert [(path, size) for path, size, _ in backend.walk("refs")] == [("refs/a/10.json", 0), ("refs/a/2.json", 3)]
    source = backend.scratch / "unfinished"
    source.write_bytes(b"bytes")
    backend.put(source, "objects/ab/abc")
    assert not source.exists()
    assert backend.local_path("objects/ab/abc").read_bytes() == backend.read("objects/ab/abc") == b"bytes"
    assert backend.exists("objects/ab/abc")
    backend.refresh("objects/ab/abc")
    backend.delete("objects/ab/abc")
    backend.delete("objects/ab/abc")
    assert not backend.exists("objects/ab/abc")
    assert not backend.local_path("refs/a/2.json").is_dir()


def test_times_of_files_are_seconds_since_the_epoch(backend: LocalBackend | RemoteBackend, tmp_path: Path) -> None:
    (tmp_path / "now").touch()
    now = (tmp_path / "now").stat().st_mtime
    backend.create("refs/x", b"")
    (_, _, changed), *_ = backend.walk("refs")
    assert abs(changed - now) < 60


def test_a_remote_object_is_fetched_once_and_dropped_from_the_cache_with_the_object(tmp_path: Path) -> None:
    writer = RemoteBackend(MEMORY, tmp_path / "writer", single_writer=True)
    source = writer.scratch / "x"
    source.write_bytes(b"bytes")
    writer.put(source, "objects/ab/abc")
    reader = RemoteBackend(MEMORY, tmp_path / "reader", single_writer=True)
    path = reader.local_path("objects/ab/abc")
    assert path.read_bytes() == b"bytes"
    assert path.is_relative_to(tmp_path / "reader")
    fsspec.filesystem("memory").store.clear()
    assert reader.local_path("objects/ab/abc") == path
    reader.delete("objects/ab/abc")
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        reader.local_path("objects/ab/abc")
    assert list(reader.scratch.iterdir()) == []


@pytest.mark.parametrize("url", ["relative/store", "store", "file:relative", ""])
def test_a_relative_store_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not absolute: give an absolute path or a URL"):
        open_backend(url, tmp_path)


def test_absolute_paths_and_file_urls_are_the_same_store(tmp_path: Path) -> None:
    one = ArtifactStore(str(tmp_path / "a b"), "p", tmp_path / "cache")
    digest = one.add_bytes(b"x")
    for url in ((tmp_path / "a b").as_uri(), str(tmp_path / "a b")):
        assert ArtifactStore(url, "p", tmp_path / "cache").has(digest)


def test_a_file_system_without_exclusive_create_is_refused_unless_one_process_writes(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"'memory' has no exclusive create.*GRISTMILL_SINGLE_WRITER=1"):
        ArtifactStore(MEMORY, "toy", tmp_path)
    assert ArtifactStore(MEMORY, "toy", tmp_path, single_writer=True).latest("a") is None


def test_a_store_on_a_remote_file_system_gives_the_digests_of_a_local_one(tmp_path: Path) -> None:
    """Produce, memos, row reuse, verify, collect and produce again, with nothing in the cache but copies."""
    local = toys.Mill(toys.open_store(tmp_path / "local")).all(toys.TEXTS)
    store = ArtifactStore(MEMORY, "toy", tmp_path / "cache", single_writer=True)
    marks = tmp_path / "marks"
    marks.mkdir()
    mill = toys.Mill(store, marks=marks)
    made = mill.all(toys.TEXTS)
    assert [item.digest for item in made] == [item.digest for item in local]
    assert mill.calls("lengths") == [2, 3, 4]
    edited = [[*toys.TEXTS[0], "new"], *toys.TEXTS[1:]]
    mill.all(edited)
    assert (mill.calls("lengths"), mill.calls("keep")) == ([1], [2, 3, 4, 5])
    assert verify(store).errors == []
    kept = collect(store, history=1, grace_seconds=0, now=2**40, delete=True)
    assert kept.sweep
    assert verify(store).errors == []
    again = toys.Mill(ArtifactStore(MEMORY, "toy", tmp_path / "other cache", single_writer=True), marks=marks)
    assert [item.digest for item in again.all(edited)] == [item.digest for item in mill.all(edited)]
    assert (again.calls("lengths"), again.calls("keep")) == ([], [])


def test_a_remote_object_that_rots_is_found(tmp_path: Path) -> None:
    store = ArtifactStore(MEMORY, "toy", tmp_path / "cache", single_writer=True)
    stored = toys.Mill(store).all(toys.TEXTS)[0].parts[0].files["documents"]
    fresh = ArtifactStore(MEMORY, "toy", tmp_path / "other", single_writer=True)
    assert isinstance(fresh.backend, RemoteBackend)
    path = fresh.backend._full(f"objects/{stored.object[:2]}/{stored.object}")
    data = fresh.backend.files.cat_file(path)
    fresh.backend.files.pipe_file(path, bytes([data[0] ^ 1]) + data[1:])
    (error,) = verify(fresh).errors
    assert stored.object in error
    assert "does not have the bytes of its name" in error


def test_locks_of_a_remote_store_are_in_the_cache(tmp_path: Path) -> None:
    store = ArtifactStore(MEMORY, "toy", tmp_path / "cache", single_writer=True)
    with store.lock("toy/a/_"):
        assert (tmp_path / "cache/locks/toy/a/_.lock").read_text() == str(os.getpid())
    folder = store.work_folder("crawl/x")
    assert folder.is_relative_to(tmp_path / "cache")
    store.drop_work("crawl/x")
    assert not folder.exists()


def test_every_new_folder_is_made_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("resources.backends.sync_folder", synced.append)
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]
