"""Where the store's bytes are: the verbs of a backend, and a local folder as one. `remote_backend` is the other one.

Both give the same few verbs: read, whole-file put, exclusive create, list, delete. Everything else is built on
exclusive create: of two writers that create one name, one learns that it lost. A local folder has it (`link(2)`).
"""

import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipelines.core.errors import GristmillError

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when a disk, a quota or a permitted file size is exhausted."""


class StoreError(GristmillError, RuntimeError):
    """The store cannot do what was asked; the message says what, where and the remedy."""


class StoreFullError(StoreError):
    """There is no room to write: no fault of the data, and nothing after it would succeed."""


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
        self.near = self
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
