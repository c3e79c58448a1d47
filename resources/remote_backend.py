"""A store's bytes on a file system that fsspec reaches, with copies of what was read on this machine.

S3 and Google Cloud Storage have exclusive create as a conditional put. fsspec's generic fallback looks first and writes
then, which is no lock; such a file system is refused unless the caller declares itself the single writer. So is a
server that speaks S3 and ignores the condition: the first create of a process tries it on a name of its own.

The near side is a local folder: copies of objects, named by their digest, unfinished files, work folders, flocks.
"""

import random
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from resources.backends import LocalBackend, StoreError

EXCLUSIVE_PROTOCOLS: Final = frozenset({"s3", "gs"})
"""fsspec file systems whose `mode="create"` is a conditional put, decided by the server; also the names of our extras
that install their drivers."""
_TAKEN: Final = frozenset({"PreconditionFailed", "412"})
_CONFLICT: Final = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
"""S3 saw another conditional put or a delete of the same name under way and decided nothing: ask again."""
_TRIES: Final = 6
REFRESH_SECONDS: Final = 3600.0
"""Below the grace of any collection beside writers; a younger object is young enough, which saves a copy."""


class RemoteBackend:
    """An fsspec file system; objects that are read are kept in a local cache, named by their digest."""

    def __init__(self, url: str, cache: Path, *, single_writer: bool = False) -> None:
        protocol = urlsplit(url).scheme
        if protocol not in EXCLUSIVE_PROTOCOLS and not single_writer:
            raise StoreError(
                f"store {url}: the file system {protocol!r} has no exclusive create, so two writers could both win one "
                f"reference. Use a local folder, {' or '.join(sorted(EXCLUSIVE_PROTOCOLS))}, or set "
                "GRISTMILL_SINGLE_WRITER=1 if exactly one process ever writes"
            )
        self.url = url
        self.files, self.root = _file_system(url, protocol)
        self.cache = cache
        self.near = LocalBackend(cache)
        self.scratch = self.near.scratch
        self._proved = single_writer
        self._has_folders = protocol not in EXCLUSIVE_PROTOCOLS
        self._copy_options = {"MetadataDirective": "REPLACE"} if protocol == "s3" else {}

    def _full(self, path: str) -> str:
        return str(PurePosixPath(self.root) / path)

    def read(self, path: str) -> bytes:
        with self._asking(path) as full:
            data: bytes = self.files.cat_file(full)
        return data

    def head(self, path: str, size: int) -> bytes:
        with self._asking(path) as full:
            try:
                data: bytes = self.files.cat_file(full, start=0, end=size)
            except OSError:
                if self.files.info(full)["size"]:
                    raise
                return b""  # S3 refuses every range of an empty object
        return data

    def local_path(self, path: str) -> Path:
        target = self.cache / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            self.fetch(path).replace(target)
        return target

    def fetch(self, path: str) -> Path:
        """The bytes as the server has them now, in a new scratch file of the caller's."""
        temporary = self.scratch / f"get-{uuid.uuid4().hex}"
        try:
            with self._asking(path) as full:
                self.files.get_file(full, str(temporary))
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def put(self, source: Path, path: str) -> None:
        with self._asking(path, write=True) as full:
            self.files.put_file(str(source), full)
        kept = self.cache / path
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, kept)

    def overwrite(self, path: str, data: bytes) -> None:
        """Put a small file whether or not the name is taken."""
        with self._asking(path, write=True) as full:
            self.files.pipe_file(full, data)

    def create(self, path: str, data: bytes) -> bool:
        """As the local one. True and False are the server's word; False can also follow an own create whose answer was
        lost on the way and which the driver sent again."""
        if not self._proved:
            self._prove()
        return self._create(path, data)

    def _create(self, path: str, data: bytes) -> bool:
        for tries in range(1, _TRIES + 1):
            try:
                with self._asking(path, write=True) as full:
                    self.files.pipe_file(full, data, mode="create")
                return True
            except FileExistsError:
                return False
            except OSError as error:
                code = _server_code(error)
                if code in _TAKEN:
                    return False
                if code not in _CONFLICT or tries == _TRIES:
                    raise
                time.sleep(0.05 * 2**tries * random.uniform(0.5, 1.0))
        raise AssertionError("unreachable")

    def _prove(self) -> None:
        """Create one new name twice. The second must be refused, or two writers could both win a reference."""
        path = f"tmp/exclusive-{uuid.uuid4().hex}"
        try:
            if not self._create(path, b"1") or self._create(path, b"2"):
                raise StoreError(
                    f"store {self.url}: the server let one name be created twice, so it ignores the condition "
                    "If-None-Match and two writers could both win one reference. Use a server that honours it, or set "
                    "GRISTMILL_SINGLE_WRITER=1 if exactly one process ever writes"
                )
        finally:
            with suppress(OSError):
                self.delete(path)
        self._proved = True

    @contextmanager
    def _asking(self, path: str, *, write: bool = False) -> Iterator[str]:
        """The full name to ask the server for; what only the user can mend gets an error that says so."""
        full = self._full(path)
        try:
            if write and self._has_folders:
                self.files.makedirs(str(PurePosixPath(full).parent), exist_ok=True)
            yield full
        except FileNotFoundError as error:
            if not write:
                raise
            raise StoreError(f"store {self.url}: {error}; create the bucket, or mend GRISTMILL_STORE") from error
        except PermissionError as error:
            raise StoreError(
                f"store {self.url}: {path} is refused ({error}); look at the credentials and their rights"
            ) from error
        except (OSError, StoreError):
            raise
        except Exception as error:  # each driver has classes of its own for this
            raise StoreError(
                f"store {self.url}: no answer for {path} ({type(error).__name__}: {error}); look at the credentials, "
                "the network and GRISTMILL_STORE"
            ) from error

    def exists(self, path: str) -> bool:
        with self._asking(path) as full:
            return bool(self.files.exists(full))

    def names(self, folder: str) -> list[str]:
        with suppress(FileNotFoundError), self._asking(folder) as full:
            return sorted(PurePosixPath(name).name for name in self.files.ls(full, detail=False))
        return []

    def walk(self, folder: str) -> Iterator[tuple[str, int, float]]:
        with self._asking(folder) as full:
            found = sorted(self.files.find(full, detail=True).items())
        for name, info in found:
            relative = PurePosixPath(name).relative_to(PurePosixPath(self.root)).as_posix()
            yield relative, int(info["size"] or 0), _changed(info)

    def refresh(self, path: str) -> None:
        """As the local one: what is old is copied onto itself by the server, which dates it anew."""
        if self._has_folders:
            return
        with self._asking(path) as full:
            if time.time() - _changed(self.files.info(full)) > REFRESH_SECONDS:
                self.files.cp_file(full, full, **self._copy_options)

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError), self._asking(path) as full:
            self.files.rm_file(full)
        (self.cache / path).unlink(missing_ok=True)


def _file_system(url: str, protocol: str) -> tuple[Any, str]:
    """fsspec's view of a URL. It must not remember listings: other machines write beside us."""
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        extra = f"pip install -e '.[{protocol}]'" if protocol in EXCLUSIVE_PROTOCOLS else str(error)
        raise StoreError(f"store {url}: the driver of {protocol}:// is not installed ({error}): {extra}") from None
    except ValueError as error:
        raise StoreError(f"store {url}: {error}") from None
    return files, str(root)


def _changed(info: Mapping[str, Any]) -> float:
    """When an object was written, in seconds since the epoch, by whatever name the driver gives."""
    stamp: Any = info.get("created") or info.get("LastModified") or info.get("mtime") or 0
    return float(stamp.timestamp() if hasattr(stamp, "timestamp") else stamp)


def _server_code(error: BaseException | None) -> str:
    """The code that an S3 server gave with a refusal; drivers turn some into errors without it."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""


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
