"""Sources that lie elsewhere: inventories and files behind any URL that fsspec reaches (s3, gs, hf, http, and others).

A URL comes in. Step 1: its files are listed, and each is pinned by the strongest mark that its server gives: a SHA-256,
a Git blob id, an MD5, an entity tag, a time of change; a file without any is read once for its SHA-256. Step 2: when a
worker reads a file, it asks for the mark again, copies the file beside itself, digests every byte (which proves a
SHA-256 or a blob id), and asks once more: what changed since it was sealed is an error that names it, never other text
under the old name. Credentials are the drivers' own matter; settings such as an endpoint are a source's `storage`.
"""

import hashlib
import posixpath
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from pipelines.core.errors import GristmillError
from pipelines.corpus.acquisition.inventory import (
    Inventory,
    InventoryFile,
    Recount,
    Skipped,
    chosen_names,
    escape_path,
    inventory_tables,
    unescape_path,
)

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_EXTRAS: Final = {"hf": "hf", "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http"}
_MARKS: Final = (
    ("md5", ("md5Hash", "Content-MD5", "content_md5")),
    ("etag", ("ETag", "etag", "e_tag")),
    ("changed", ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "modified", "created")),
)
_READ_BYTES: Final = 1 << 20


class RemoteError(GristmillError, OSError):
    """A remote source that cannot be listed or read; the message names the URL and what to do."""


class RemoteChangedError(RemoteError):
    """A file that is not what was sealed."""


class Remote(NamedTuple):
    """A file or folder behind a URL, and settings for fsspec's driver. A folder of a web server ends in `/`."""

    url: str
    options: Mapping[str, Any] = {}


def is_url(declared: str) -> bool:
    """Whether a declared path is a URL and not a path, `package:` or `stdlib:`."""
    return _URL.match(declared) is not None


def why_unreachable(remote: Remote) -> str:
    """Why nothing can be read behind the URL; empty where something is there."""
    try:
        files, root = _open(remote)
        there = files.exists(f"{root}/" if remote.url.endswith("/") else root)
    except RemoteError as error:
        return str(error)
    except Exception as error:  # drivers raise what their servers and libraries raise
        return str(_failed(remote, "", error))
    return "" if there else f"{remote.url} is not there: check the URL and what the driver's credentials may see"


def take_remote_inventory(
    remote: Remote,
    patterns: Sequence[str] = ("**",),
    exclude: Sequence[str] = (),
    choose: Callable[[Sequence[str]], Collection[str]] | None = None,
) -> Inventory:
    """The files at a URL, as `inventory.take_inventory` has those of a folder; `digest` is the mark, `kind:value`."""
    files, root = _open(remote)
    base, found = _listed(files, root, remote)
    names = {name: info for name, info in found.items() if name}
    wanted = set(names) if base else chosen_names(sorted(names), patterns, exclude, choose)
    kept: list[InventoryFile] = []
    skipped: list[Skipped] = []
    for name in sorted(wanted):
        path = escape_path(name.encode("utf-8", "surrogateescape"))
        if name.startswith("/") or ".." in name.split("/"):
            skipped.append(Skipped(path, "outside_root", "a name that leaves the URL"))
            continue
        try:
            kept.append(_sealed(files, _location(root, name, base), path, names[name]))
        except Exception as error:  # drivers raise what their servers and libraries raise
            skipped.append(Skipped(path, "unreadable", f"{type(error).__name__}: {error}"[:200]))
    return inventory_tables(kept, skipped, len(names), len(names) - len(wanted))


def recount_remote(remote: Remote, files: pa.Table) -> Recount:
    """The same for a URL: the listing asked for once more, with the sizes that it gives."""
    client, root = _open(remote)
    _, found = _listed(client, root, remote)
    names = {escape_path(name.encode("utf-8", "surrogateescape")): info for name, info in found.items() if name}
    size = 0
    for path, sealed in zip(files["path"].to_pylist(), files["bytes"].to_pylist(), strict=True):
        told = names.get(path, {}).get("size", 0 if path not in names else None)
        size += sealed if told is None else int(told)  # some servers list no sizes
    return Recount(len(names), size)


def read_remote(remote: Remote, name: str, limit: int) -> bytes | None:
    """The first `limit` bytes of a file below the URL; None if there is none."""
    files, root = _open(remote)
    try:
        with files.open(posixpath.join(root, name), "rb") as stream:
            data: bytes = stream.read(limit)
    except FileNotFoundError:
        return None
    except Exception as error:
        raise _failed(remote, name, error) from error
    return data


def fetch(remote: Remote, path: str, size: int, mark: str, target: Path) -> str:
    """Copy the file of inventory `path` to `target`; returns the SHA-256 of what was read.

    Raises `RemoteChangedError` for a file that is gone or is not what was sealed, `RemoteError` for one that cannot be
    read now.
    """
    files, root = _open(remote)
    name = unescape_path(path).decode("utf-8", "surrogateescape")
    digest, read = hashlib.sha256(), 0
    blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)  # as Git names a file's content
    try:
        location = _location(root, name, not remote.url.endswith("/") and files.isfile(root))
        kind = mark.partition(":")[0]
        before = _mark(_info(files, location), kind) or mark
        with files.open(location, "rb") as stream, target.open("wb") as copy:
            while block := stream.read(_READ_BYTES):
                digest.update(block)
                blob.update(block)
                copy.write(block)
                read += len(block)
        after = _mark(_info(files, location), kind) or mark
    except FileNotFoundError as error:
        raise _changed(remote, path, "is gone") from error
    except RemoteError:
        raise
    except Exception as error:
        raise _failed(remote, path, error) from error
    proved = {"sha256": digest.hexdigest(), "git": blob.hexdigest()}.get(kind)
    if proved is not None and mark != f"{kind}:{proved}":
        raise _changed(remote, path, f"has the digest {kind}:{proved}, not {mark}")
    if proved is None and {before, after} != {mark}:
        raise _changed(remote, path, f"has the mark {after}, not {mark}")
    if read != size:
        raise _changed(remote, path, f"has {read} bytes, not {size}")
    return digest.hexdigest()


def _open(remote: Remote) -> tuple[Any, str]:
    import fsspec

    scheme = remote.url.partition("://")[0].lower()
    try:
        files, root = fsspec.core.url_to_fs(remote.url, use_listings_cache=False, **remote.options)
    except (ImportError, ValueError) as error:
        extra = _EXTRAS.get(scheme)
        remedy = f"`pip install -e '.[{extra}]'`" if extra else "install fsspec's driver for it"
        raise RemoteError(f"{remote.url}: no driver for {scheme}://: {remedy} ({error})") from error
    if hasattr(files, "invalidate_cache"):
        files.invalidate_cache()  # instances are shared in a process, and remember listings
    return files, root.rstrip("/")


def _listed(files: Any, root: str, remote: Remote) -> tuple[bool, dict[str, Mapping[str, Any]]]:
    """(is the URL one file?, names below it with what the listing says of each)."""
    try:
        if not remote.url.endswith("/") and files.isfile(root):  # any page of a web server is a file
            return True, {posixpath.basename(root): _info(files, root)}
        listing: dict[str, Mapping[str, Any]] = files.find(f"{root}/", detail=True)
    except Exception as error:
        raise _failed(remote, "", error) from error
    if not listing:
        raise RemoteError(
            f"{remote.url}: there is no file there, or the server does not list it: check the URL, or name one file"
        )
    prefix = f"{root}/"
    return False, {
        path.removeprefix(prefix) if path.startswith(prefix) else f"../{path}": info for path, info in listing.items()
    }


def _location(root: str, name: str, single: bool) -> str:
    return root if single else f"{root}/{name}"


def _info(files: Any, location: str) -> Mapping[str, Any]:
    protocols = (files.protocol,) if isinstance(files.protocol, str) else files.protocol
    if hasattr(files, "invalidate_cache"):
        files.invalidate_cache()
    info: Mapping[str, Any] = files.info(location, expand_info=True) if "hf" in protocols else files.info(location)
    return info


def _sealed(files: Any, location: str, path: str, listed: Mapping[str, Any]) -> InventoryFile:
    """A file with its mark; what the listing leaves open is asked for, and what nobody says is read."""
    strong = _mark(listed).partition(":")[0] not in ("", "changed")  # drivers write times in a listing as they like
    info = listed if strong and listed.get("size") is not None else _info(files, location)
    mark, size = _mark(info), info.get("size")
    if mark and size is not None:
        return InventoryFile(path, int(size), mark)
    digest, read = hashlib.sha256(), 0
    with files.open(location, "rb") as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
            read += len(block)
    return InventoryFile(path, read, mark or f"sha256:{digest.hexdigest()}")


def _mark(info: Mapping[str, Any], kind: str = "") -> str:
    """The strongest mark of a file's content that its server gives, or the one of a kind; empty if it gives none."""
    large = info.get("lfs")  # of a Hugging Face repository
    sha = large.get("sha256") if isinstance(large, Mapping) else getattr(large, "sha256", None)
    known = {"sha256": sha, "git": info.get("blob_id")}
    for name, keys in _MARKS:
        known[name] = next((info[key] for key in keys if info.get(key) not in (None, "")), None)
    for name, value in known.items():
        if value not in (None, "") and kind in ("", name):
            text = value.isoformat() if isinstance(value, datetime) else str(value)
            return f"{name}:{text.strip(chr(34))}"
    return ""


def _changed(remote: Remote, path: str, what: str) -> RemoteChangedError:
    return RemoteChangedError(
        f"{remote.url}: {path} {what}: it changed since the batch was sealed; put it back, pin a revision in the URL, "
        "or give the new file to a new batch"
    )


def _failed(remote: Remote, path: str, error: Exception) -> RemoteError:
    where = f"{remote.url}: {path}" if path else remote.url
    return RemoteError(f"{where} cannot be read now ({type(error).__name__}: {error}): check it and run again")
