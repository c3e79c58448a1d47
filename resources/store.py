"""The artifact store: immutable objects, memos of what was done, append-only references.

    objects/ab/<sha256>                        files of parts, and manifests, named by their bytes
    memo/actions/ab/<action>.json              action -> manifest: "has this been done?"
    memo/parts/ab/<part action>.json           one part's files and counts
    refs/<project>/<asset>/<key>/<n>.json      what an asset's partition is now: the highest n
    ledger/<project>/<list>/<n>.json           numbered facts that are decided once: batch ordinals, rounds
    leases/<lock>/<n>.json, <n>.beat           remote stores: who works on a key, and its heartbeat
    locks/, tmp/, work/                        flock files, unfinished writes, resumable state of crawls and trainings

Publishing goes objects -> manifest -> memo -> reference, each atomic and durable before the next. Objects and memos
are shared between projects; references and ledgers are a project's own. In a remote store the last line is on each
machine's near side: a crawl or a training that was stopped goes on where it was only on the machine that it ran on, and
starts anew on another one. What was published is seen by all.
"""

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from pipelines.core.artifacts import Artifact
from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import digest_bytes, digest_file
from pipelines.core.manifest import CheckRecord, Manifest, Record, StoredFile
from resources.backends import LocalBackend, StoreError, sync_folder
from resources.failpoints import failpoint
from resources.leases import TIMES, hold_lease
from resources.locks import Hold, KernelHold, file_lock
from resources.remote_backend import RemoteBackend, open_backend

UNPARTITIONED: Final = "_"
NAME_LENGTH: Final = 120
"""Of one segment; file systems allow 255 bytes, and suffixes are added."""
_SEGMENT = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class Reference(Record):
    """What one number of a key's history points to."""

    manifest: str
    action: str
    content: str


class ActionMemo(Record):
    """The manifest that an action gave."""

    manifest: str


class PartMemo(Record):
    """The outcome of one part action."""

    files: dict[str, StoredFile]
    counts: dict[str, int]


class CheckFailedError(GristmillError, RuntimeError):
    """A blocking check failed, so nothing was published; `checks` holds every verdict."""

    def __init__(self, asset: str, partition: str | None, checks: tuple[CheckRecord, ...]) -> None:
        self.checks = checks
        failed = "; ".join(f"{check.name}: {check.description} {check.values}" for check in checks if not check.passed)
        super().__init__(f"{asset} {partition or ''}: nothing published, blocking checks failed: {failed}")


class ArtifactStore:
    """One store, seen by one project."""

    def __init__(self, url: str, project: str, cache: Path, *, single_writer: bool = False) -> None:
        _check_name("project", project)
        self.url, self.project, self._cache, self._single_writer = url, project, cache, single_writer
        self.backend: LocalBackend | RemoteBackend = open_backend(url, cache, single_writer=single_writer)
        self.lease_times = TIMES

    def __reduce__(self) -> tuple[Any, ...]:
        return (_reopen, (self.url, self.project, self._cache, self._single_writer))

    # objects ---------------------------------------------------------------------------------------------------

    @staticmethod
    def _object(digest: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise StoreError(f"{digest[:80]!r} is not the name of an object")
        return f"objects/{digest[:2]}/{digest}"

    def scratch(self) -> Path:
        """A new private path for an unfinished file, on the store's own file system where it is local."""
        return self.backend.scratch / f"{os.getpid()}-{uuid.uuid4().hex}"

    def path_of(self, digest: str) -> Path:
        """The local path of an object, fetched first when the store is remote."""
        return self.backend.local_path(self._object(digest))

    def has(self, digest: str) -> bool:
        return self.backend.exists(self._object(digest))

    def add_file(self, path: Path) -> str:
        """Flush `path` and move it in as an object; returns its digest. Bytes that are already here are kept."""
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        digest = digest_file(path)
        if self.has(digest):
            self.backend.refresh(self._object(digest))
            path.unlink()
        else:
            path.chmod(0o444)
            failpoint("part_write")
            self.backend.put(path, self._object(digest))
        return digest

    def add_bytes(self, data: bytes) -> str:
        digest = digest_bytes(data)
        if not self.has(digest):
            path = self.scratch()
            path.write_bytes(data)
            self.add_file(path)
        return digest

    # memos -----------------------------------------------------------------------------------------------------

    def part_memo(self, action: str) -> PartMemo | None:
        """The recorded outcome of a part action, if every file of it is still here; a damaged memo counts as none."""
        path = f"memo/parts/{action[:2]}/{action}.json"
        if not self.backend.exists(path):
            return None
        try:
            memo = PartMemo.model_validate_json(self.backend.read(path))
        except ValueError:
            return None
        if not all(self.has(file.object) for file in memo.files.values()):
            return None
        for file in memo.files.values():  # nothing refers to them before the artifact is published
            self.backend.refresh(self._object(file.object))
        return memo

    def remember_part(self, action: str, memo: PartMemo) -> None:
        self._remember(f"memo/parts/{action[:2]}/{action}.json", _encode(memo))

    def _remember(self, path: str, data: bytes) -> None:
        """Create a memo. One that is there already is the same, unless gc or damage took its files: then replace it."""
        if not self.backend.create(path, data) and self.backend.read(path) != data:
            self.backend.delete(path)
            self.backend.create(path, data)

    def done(self, action: str) -> Artifact | None:
        """The artifact that this action gave, if it and every file of it is still here."""
        path = f"memo/actions/{action[:2]}/{action}.json"
        if not self.backend.exists(path):
            return None
        try:
            digest = ActionMemo.model_validate_json(self.backend.read(path)).manifest
        except ValueError:
            return None
        if not self.has(digest):
            return None
        artifact = self.open(digest)
        return artifact if self._missing(artifact.manifest) is None else None

    def _missing(self, manifest: Manifest) -> str | None:
        """The first file of a manifest that is not in the store, as `part, role`."""
        for part in manifest.parts:
            for role, file in part.files.items():
                if not self.has(file.object):
                    return f"part {part.name}, {role}"
        return None

    @contextmanager
    def read_back(self, digest: str) -> Iterator[Path]:
        """An object as the store has it now, not a copy on the near side of a remote one; for as long as it is read."""
        if isinstance(self.backend, LocalBackend):
            yield self.path_of(digest)
            return
        path = self.backend.fetch(self._object(digest))
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def open(self, digest: str, *, anew: bool = False) -> Artifact:
        """The artifact whose manifest has this digest; `anew` reads it past a local copy.

        Raises `StoreError` when it is not here, damaged or none.
        """
        try:
            data = self.backend.read(self._object(digest)) if anew else self.path_of(digest).read_bytes()
        except FileNotFoundError:
            raise StoreError(f"manifest {digest} is not in the store {self.url}; run `gristmill verify`") from None
        if digest_bytes(data) != digest:
            raise StoreError(
                f"manifest {self._object(digest)} of {self.url} does not have the bytes of its name: delete that file "
                "and run its asset again; `gristmill verify` finds what else is damaged"
            )
        try:
            return Artifact(Manifest.decode(data), digest, self)
        except ValueError:
            raise StoreError(f"object {digest} of {self.url} is no manifest") from None

    # references ------------------------------------------------------------------------------------------------

    def key_name(self, asset: str, key: str | None) -> str:
        """`<project>/<asset>/<key>`: the name of a key's references and of its lock. Raises `StoreError`."""
        for segment in asset.split("/"):
            _check_name("asset", segment)
        if key is not None:
            _check_name("partition", key)
        return f"{self.project}/{asset}/{UNPARTITIONED if key is None else key}"

    def _key_folder(self, asset: str, key: str | None) -> str:
        return f"refs/{self.key_name(asset, key)}"

    def _numbers(self, folder: str) -> list[int]:
        return sorted(
            int(name.removesuffix(".json")) for name in self.backend.names(folder) if re.fullmatch(r"\d+\.json", name)
        )

    def references(self, asset: str, key: str | None) -> list[Reference]:
        """The history of one key, oldest first."""
        folder = self._key_folder(asset, key)
        return [
            Reference.model_validate_json(self.backend.read(f"{folder}/{number}.json"))
            for number in self._numbers(folder)
        ]

    def latest(self, asset: str, key: str | None = None) -> Artifact | None:
        """What an asset's partition is now, or None if it was never published."""
        folder = self._key_folder(asset, key)
        numbers = self._numbers(folder)
        if not numbers:
            return None
        reference = Reference.model_validate_json(self.backend.read(f"{folder}/{numbers[-1]}.json"))
        return self.open(reference.manifest)

    def get(self, asset: str, key: str | None = None) -> Artifact:
        """Like `latest`, for an input that must be there."""
        artifact = self.latest(asset, key)
        if artifact is None:
            where = f"{asset} {key or ''}".strip()
            raise StoreError(
                f"{where} is not in the store yet; materialize it first: gristmill run --select {asset}"
                + (f" --partition {key}" if key else "")
            )
        return artifact

    def refer(self, artifact: Artifact) -> bool:
        """Make `artifact` the current one of its key. False when it already is."""
        manifest = artifact.manifest
        folder = self._key_folder(manifest.asset, manifest.partition)
        reference = Reference(manifest=artifact.digest, action=manifest.action, content=manifest.content)
        while True:
            numbers = self._numbers(folder)
            if numbers:
                newest = Reference.model_validate_json(self.backend.read(f"{folder}/{numbers[-1]}.json"))
                if newest == reference:
                    return False
            failpoint("reference")
            if self.backend.create(f"{folder}/{(numbers or [0])[-1] + 1}.json", _encode(reference)):
                return True

    def publish(self, manifest: Manifest, *, confirm: Callable[[], None] = lambda: None) -> Artifact:
        """Manifest, memo, reference, in that order; refuses when a blocking check failed.

        `confirm` raises when the caller no longer holds the key's lock. It is asked before the memo, which alone would
        make the work count as done, and before the reference.
        """
        if any(check.blocking and not check.passed for check in manifest.checks):
            raise CheckFailedError(manifest.asset, manifest.partition, manifest.checks)
        self.key_name(manifest.asset, manifest.partition)
        missing = self._missing(manifest)
        if missing is not None:
            raise StoreError(
                f"{manifest.asset} {manifest.partition or ''}: {missing} is no longer in the store {self.url}; run it "
                "again (if `gristmill gc` ran meanwhile, give it a longer --grace-hours)"
            )
        failpoint("manifest")
        digest = self.add_bytes(manifest.encode())
        memo = f"memo/actions/{manifest.action[:2]}/{manifest.action}.json"
        confirm()
        self._remember(memo, _encode(ActionMemo(manifest=digest)))
        artifact = Artifact(manifest, digest, self)
        confirm()
        self.refer(artifact)
        return artifact

    # ledgers ---------------------------------------------------------------------------------------------------

    def ledger(self, name: str) -> list[dict[str, Any]]:
        """The entries of a numbered list, in order; entry i has number i + 1."""
        folder = self._ledger_folder(name)
        return [json.loads(self.backend.read(f"{folder}/{number}.json")) for number in self._numbers(folder)]

    def append(self, name: str, entry: dict[str, Any], *, unique: str) -> int:
        """Add an entry unless one with the same value of `unique` exists; returns its number either way."""
        folder = self._ledger_folder(name)
        data = (json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n").encode()
        while True:
            entries = self.ledger(name)
            for number, existing in enumerate(entries, start=1):
                if existing[unique] == entry[unique]:
                    return number
            if self.backend.create(f"{folder}/{len(entries) + 1}.json", data):
                return len(entries) + 1

    def _ledger_folder(self, name: str) -> str:
        for segment in name.split("/"):
            _check_name("list", segment)
        return f"ledger/{self.project}/{name}"

    # places ----------------------------------------------------------------------------------------------------

    @contextmanager
    def lock(
        self, name: str, *, wait_seconds: float = 0.0, tell: Callable[[str], None] = lambda _: None
    ) -> Iterator[Hold]:
        """Mutual exclusion for one name: among the processes of this machine by flock, and for a remote store that
        several machines may write, among them by a lease. Raises `BusyError` after `wait_seconds`."""
        deadline = time.monotonic() + wait_seconds
        path = self.backend.near.root / "locks" / f"{name}.lock"
        with file_lock(path, wait_seconds=wait_seconds, tell=tell):
            if isinstance(self.backend, LocalBackend) or self._single_writer:
                yield KernelHold()
                return
            note = path.with_name(f"{path.name}.lease")
            left = max(0.0, deadline - time.monotonic())
            times = self.lease_times
            with hold_lease(self.backend, name, note, wait_seconds=left, tell=tell, times=times) as lease:
                yield lease

    def work_folder(self, name: str) -> Path:
        """A folder for resumable state (a crawl, a training), on this machine even when the store is remote."""
        folder = self.backend.near.root / "work" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def drop_work(self, name: str) -> None:
        folder = self.backend.near.root / "work" / name
        if folder.exists():
            shutil.rmtree(folder)
            sync_folder(folder.parent)

    def referenced(self) -> Iterator[tuple[str, Reference]]:
        """(path, reference) of every reference of any project, sorted by path."""
        for path, _, _ in self.backend.walk("refs"):
            yield path, Reference.model_validate_json(self.backend.read(path))


def _check_name(what: str, segment: str) -> None:
    """One segment of a path in the store. Names come from project files and partition keys: hostile input."""
    if len(segment) > NAME_LENGTH or not _SEGMENT.fullmatch(segment):
        raise StoreError(
            f"{segment[:80]!r} cannot be (a segment of) the name of a {what}: a lower-case letter or digit, then more "
            f"of them, _ . or -, {NAME_LENGTH} characters at most"
        )


def _encode(record: Record) -> bytes:
    return (json.dumps(record.model_dump(mode="json"), sort_keys=True) + "\n").encode()


@lru_cache(maxsize=4)
def _reopen(url: str, project: str, cache: Path, single_writer: bool) -> ArtifactStore:
    return ArtifactStore(url, project, cache, single_writer=single_writer)
