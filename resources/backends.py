"""Where the store's bytes are: a local folder, or any file system that fsspec reaches.

Both give the same few verbs: read, whole-file put, exclusive create, list, delete. Everything else is built on
exclusive create: of two writers that create one name, one learns that it lost. A local folder has it (`link(2)`), S3
and Google Cloud Storage have it as a conditional put. fsspec's generic fallback looks first and writes then, which is
no lock; such a file system is refused unless the caller declares itself the single writer.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

EXCLUSIVE_PROTOCOLS: Final = frozenset({"s3", "gs"})
"""fsspec file systems whose `mode="create"` is a conditional put, decided by the server."""


FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when a disk, a quota or a permitted file size is exhausted."""


class StoreError(RuntimeError):
    """The store cannot do what was asked; the message says what, where and the remedy."""


class StoreFullError(StoreError):
    """There is no room to write: no fault of the data, and nothing after it would succeed."""


class Backend(Protocol):
    """The verbs that the store is built on; paths are relative and POSIX."""

    url: str

    def read(self, path: str) -> bytes: ...
    def head(self, path: str, size: int) -> bytes: ...
    def local_path(self, path: str) -> Path: ...
    def put(self, source: Path, path: str) -> None: ...
    def create(self, path: str, data: bytes) -> bool: ...
    def exists(self, path: str) -> bool: ...
    def names(self, folder: str) -> list[str]: ...
    def walk(self, folder: str) -> Iterator[tuple[str, int, float]]: ...
    def refresh(self, path: str) -> None: ...
    def delete(self, path: str) -> None: ...


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Create `folder` and its missing parents, each name durable before anything is put below it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Write a whole new file and flush it to the device."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


class LocalBackend:
    """A folder of a local file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.as_uri()
        self.scratch = root / "tmp"
        self.scratch.mkdir(parents=True, exist_ok=True)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def head(self, path: str, size: int) -> bytes:
        """The first bytes of a file."""
        with (self.root / path).open("rb") as stream:
            return stream.read(size)

    def local_path(self, path: str) -> Path:
        return self.root / path

    def put(self, source: Path, path: str) -> None:
        """Move a flushed file of the same file system to its name; an existing file of that name is the same bytes."""
        target = self.root / path
        make_folder(target.parent)
        source.replace(target)
        sync_folder(target.parent)

    def create(self, path: str, data: bytes) -> bool:
        """Publish `data` under `path` whole, or return False because the name is taken."""
        target = self.root / path
        make_folder(target.parent)
        temporary = self.scratch / f"create-{uuid.uuid4().hex}"
        try:
            write_durably(temporary, data)
            os.link(temporary, target)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(target.parent)
        return True

    def exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self.root / folder))
        except FileNotFoundError:
            return []

    def walk(self, folder: str) -> Iterator[tuple[str, int, float]]:
        """(path, bytes, modification time) of every file below `folder`, sorted."""
        for directory, folders, files in os.walk(self.root / folder):
            folders.sort()
            for name in sorted(files):
                entry = Path(directory) / name
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue
                yield entry.relative_to(self.root).as_posix(), status.st_size, status.st_mtime

    def refresh(self, path: str) -> None:
        """Make a file young again: it is being used anew, and a collection spares what is younger than its grace."""
        os.utime(self.root / path)

    def delete(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)


class RemoteBackend:
    """An fsspec file system; objects that are read are kept in a local cache, named by their digest."""

    def __init__(self, url: str, cache: Path, *, single_writer: bool = False) -> None:
        import fsspec

        protocol = urlsplit(url).scheme
        if protocol not in EXCLUSIVE_PROTOCOLS and not single_writer:
            raise StoreError(
                f"store {url}: the file system {protocol!r} has no exclusive create, so two writers could both win one "
                f"reference. Use a local folder, {' or '.join(sorted(EXCLUSIVE_PROTOCOLS))}, or set "
                "GRISTMILL_SINGLE_WRITER=1 if exactly one process ever writes"
            )
        self.url = url
        self.files, self.root = fsspec.core.url_to_fs(url)
        self.cache = cache
        self.scratch = cache / "tmp"
        self.scratch.mkdir(parents=True, exist_ok=True)

    def _full(self, path: str) -> str:
        return str(PurePosixPath(self.root) / path)

    def read(self, path: str) -> bytes:
        data: bytes = self.files.cat_file(self._full(path))
        return data

    def head(self, path: str, size: int) -> bytes:
        data: bytes = self.files.cat_file(self._full(path), start=0, end=size)
        return data

    def local_path(self, path: str) -> Path:
        target = self.cache / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.scratch / f"get-{uuid.uuid4().hex}"
            self.files.get_file(self._full(path), str(temporary))
            temporary.replace(target)
        return target

    def put(self, source: Path, path: str) -> None:
        self.files.makedirs(str(PurePosixPath(self._full(path)).parent), exist_ok=True)
        self.files.put_file(str(source), self._full(path))
        kept = self.cache / path
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, kept)

    def create(self, path: str, data: bytes) -> bool:
        self.files.makedirs(str(PurePosixPath(self._full(path)).parent), exist_ok=True)
        try:
            self.files.pipe_file(self._full(path), data, mode="create")
        except FileExistsError:
            return False
        return True

    def exists(self, path: str) -> bool:
        return bool(self.files.exists(self._full(path)))

    def names(self, folder: str) -> list[str]:
        self.files.invalidate_cache()
        try:
            return sorted(PurePosixPath(name).name for name in self.files.ls(self._full(folder), detail=False))
        except FileNotFoundError:
            return []

    def walk(self, folder: str) -> Iterator[tuple[str, int, float]]:
        self.files.invalidate_cache()
        for name, info in sorted(self.files.find(self._full(folder), detail=True).items()):
            relative = PurePosixPath(name).relative_to(PurePosixPath(self.root)).as_posix()
            stamp = info.get("created") or info.get("LastModified") or info.get("mtime")
            yield (
                relative,
                int(info["size"] or 0),
                stamp.timestamp() if hasattr(stamp, "timestamp") else float(stamp or 0),
            )

    def refresh(self, path: str) -> None:
        """An object store keeps one date a file; `publish` checks that every file is still there."""

    def delete(self, path: str) -> None:
        if self.files.exists(self._full(path)):
            self.files.rm_file(self._full(path))
        (self.cache / path).unlink(missing_ok=True)


def open_backend(url: str, cache: Path, *, single_writer: bool = False) -> LocalBackend | RemoteBackend:
    """The backend of a store URL: an absolute local path, `file://`, or what fsspec knows."""
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        path = Path(unquote(parts.path) if parts.scheme else url)
        if not path.is_absolute():
            raise StoreError(
                f"store {url!r} is not absolute: give an absolute path or a URL such as s3://bucket/gristmill"
            )
        return LocalBackend(path)
    return RemoteBackend(url, cache, single_writer=single_writer)
