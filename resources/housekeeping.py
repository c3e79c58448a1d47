"""Keeping the store: `verify` reads everything back, `collect` finds what nothing needs.

Collection marks from every kept reference, ledger entry and pin. A marked JSON object (a manifest, a plan, a release
record) marks every object whose digest it names, so inputs, recorded facts and pinned parents are followed to the
archive: everything a kept checkpoint needs stays. What is unmarked and older than the grace period is swept: objects,
memos that name swept objects, unfinished files, work folders of finished trainings, lock files of killed holders. It
costs a look at the first byte of each marked object and a read of those that are JSON.

Of a remote store it also sweeps this machine's copies of objects that the store no longer has, and leases of holders
that are gone: those that are older than the grace period are watched until they would expire, one minute for all. What
stays of a lease is its newest number.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pipelines.core.artifacts import Artifact, read_table
from pipelines.core.fingerprint import digest_bytes, digest_file, rows_digest
from pipelines.core.manifest import StoredFile, content_of
from resources.backends import LocalBackend, StoreError
from resources.leases import FOLDER, free_dead, look, number_of
from resources.locks import sweep_lock
from resources.store import ActionMemo, ArtifactStore, PartMemo

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_JSON_STARTS = (b"{", b"[")
REMEDY = "delete that file if it is there and run the asset again: what is missing is computed anew"


@dataclass
class Collection:
    """What a collection found: paths with their bytes, and what it keeps."""

    sweep: list[tuple[str, int]] = field(default_factory=list)
    kept_objects: int = 0
    kept_bytes: int = 0
    young: int = 0

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.sweep)


def collect(store: ArtifactStore, *, history: int | None, grace_seconds: float, now: float, delete: bool) -> Collection:
    """Mark and sweep. `history` keeps the newest n references of each key (None: all). Deletes only if told to."""
    found = Collection()
    before, near = now - grace_seconds, store.backend.near
    superseded = set(_superseded(store, history))
    marked = _mark(store, superseded)
    found.sweep += [(path, 0) for path in sorted(superseded)]
    stored = set()
    for path, size, changed in store.backend.walk("objects"):
        stored.add(path)
        if path.rpartition("/")[2] in marked:
            found.kept_objects += 1
            found.kept_bytes += size
        elif changed <= before:
            found.sweep.append((path, size))
        else:
            found.young += 1
    gone = {path.rpartition("/")[2] for path, _ in found.sweep}
    found.sweep += list(_dead_memos(store, gone))
    for side in {id(near): near, id(store.backend): store.backend}.values():
        found.sweep += [(path, size) for path, size, changed in side.walk("tmp") if changed <= before]
    found.sweep += _finished_work(store, before)
    if delete:
        for path, _ in found.sweep:
            store.backend.delete(path)
        _remove_empty_work(store)
    found.sweep += _free_locks(store, before, delete=delete)
    if not isinstance(store.backend, LocalBackend):
        found.sweep += _dead_leases(store, before, delete=delete)
        found.sweep += _orphaned_copies(near, stored, before, delete=delete)
    return found


def _superseded(store: ArtifactStore, history: int | None) -> Iterator[str]:
    if history is None:
        return
    folders: dict[str, list[int]] = {}
    for path, _, _ in store.backend.walk("refs"):
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).append(int(name.removesuffix(".json")))
    for folder, numbers in folders.items():
        yield from (f"{folder}/{number}.json" for number in sorted(numbers)[:-history])


def _mark(store: ArtifactStore, superseded: set[str]) -> set[str]:
    """Digests of every object that is needed. Raises `StoreError` when what is needed cannot be told."""
    waiting: list[str] = []
    for path, reference in store.referenced():
        if path not in superseded:
            _open_root(store, path, reference.manifest)
            waiting.append(reference.manifest)
    for folder in ("ledger", "pins"):
        for path, _, _ in store.backend.walk(folder):
            waiting += _digests_in(store.backend.read(path))
    marked: set[str] = set()
    while waiting:
        digest = waiting.pop()
        if digest in marked or not store.has(digest):
            continue
        marked.add(digest)
        waiting += _named_by(store, digest)
    return marked


def _open_root(store: ArtifactStore, path: str, digest: str) -> Artifact:
    """The artifact of a kept reference: without its manifest nobody can say what it needs."""
    try:
        return store.open(digest)
    except StoreError as error:
        raise StoreError(f"nothing was collected: {path} is kept, but {error}") from None


def _named_by(store: ArtifactStore, digest: str) -> list[str]:
    """Digests that a JSON object names; none for tables, arrays and weights."""
    name = f"objects/{digest[:2]}/{digest}"
    if store.backend.head(name, 1) not in _JSON_STARTS:
        return []
    data = store.backend.read(name)
    if digest_bytes(data) != digest:
        raise StoreError(f"nothing was collected: {name} is needed and does not have the bytes of its name; {REMEDY}")
    return _digests_in(data)


def _digests_in(data: bytes) -> list[str]:
    return [digest.decode() for digest in _DIGEST.findall(data)]


def _dead_memos(store: ArtifactStore, gone: set[str]) -> Iterator[tuple[str, int]]:
    def dead(digests: list[str]) -> bool:
        return any(digest in gone or not store.has(digest) for digest in digests)

    for path, size, _ in store.backend.walk("memo/parts"):
        try:
            memo = PartMemo.model_validate_json(store.backend.read(path))
        except ValueError:
            yield path, size
            continue
        if dead([file.object for file in memo.files.values()]):
            yield path, size
    for path, size, _ in store.backend.walk("memo/actions"):
        try:
            manifest = ActionMemo.model_validate_json(store.backend.read(path)).manifest
        except ValueError:
            yield path, size
            continue
        if dead([manifest]):
            yield path, size


def _finished_work(store: ArtifactStore, before: float) -> list[tuple[str, int]]:
    """Files of work folders whose training was published: their identity has an action memo."""
    finished = []
    for path, size, changed in store.backend.near.walk("work"):
        names = path.split("/")
        if (
            len(names) > 2
            and changed <= before
            and store.backend.exists(f"memo/actions/{names[2][:2]}/{names[2]}.json")
        ):
            finished.append((path, size))
    return finished


def _free_locks(store: ArtifactStore, before: float, *, delete: bool) -> list[tuple[str, int]]:
    """Lock files of killed holders; they are removed here, each under its own lock, if `delete` says so."""
    near, free = store.backend.near, []
    for path, size, changed in near.walk("locks"):
        full = near.local_path(path)
        if changed <= before and sweep_lock(full, delete=delete):
            free.append((path, size))
    return free


def _dead_leases(store: ArtifactStore, before: float, *, delete: bool) -> list[tuple[str, int]]:
    """Files of leases that were taken over, and leases whose holder is gone. The dates only choose which to watch."""
    backend = store.backend
    if isinstance(backend, LocalBackend):
        return []
    folders: dict[str, list[tuple[str, int, float]]] = {}
    for path, size, changed in backend.walk(FOLDER):
        folders.setdefault(path.rpartition("/")[0], []).append((path, size, changed))
    swept, silent = [], {}
    for folder, files in folders.items():
        numbers = {path: number_of(path.rpartition("/")[2]) or 0 for path, _, _ in files}
        newest = max((numbers[path] for path, _, _ in files if path.endswith(".json")), default=0)
        swept += [(path, size) for path, size, changed in files if numbers[path] < newest and changed <= before]
        last = [(path, size, changed) for path, size, changed in files if numbers[path] >= newest]
        if all(changed <= before for _, _, changed in last) and not look(backend, folder).free:
            silent[folder] = [(path, size) for path, size, _ in last]
    if delete:
        for path, _ in swept:
            backend.delete(path)
    dead = free_dead(backend, silent, store.lease_times) if delete else silent
    return swept + [file for folder in dead for file in silent[folder]]


def _orphaned_copies(near: LocalBackend, stored: set[str], before: float, *, delete: bool) -> list[tuple[str, int]]:
    """Copies on the near side of objects that another machine swept from the store."""
    orphaned = [
        (path, size) for path, size, changed in near.walk("objects") if path not in stored and changed <= before
    ]
    if delete:
        for path, _ in orphaned:
            near.delete(path)
    return orphaned


def _remove_empty_work(store: ArtifactStore) -> None:
    """Folders of swept work. Those of objects and memos stay: a writer beside us may be about to use one."""
    for folder in sorted((store.backend.near.root / "work").rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


@dataclass
class Verification:
    """What `verify` read and what was wrong."""

    artifacts: int = 0
    files: int = 0
    bytes: int = 0
    rows: int = 0
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)


def verify(store: ArtifactStore, tell: Callable[[str], None] = lambda _: None) -> Verification:
    """Read every artifact that a reference leads to, inputs included: bytes, rows, row counts, content digests."""
    report = Verification()
    started = time.monotonic()
    waiting = [(reference.manifest, path) for path, reference in store.referenced()][::-1]
    opened: set[str] = set()
    checked: set[StoredFile] = set()
    while waiting:
        digest, named_by = waiting.pop()
        if digest in opened:
            continue
        opened.add(digest)
        try:
            artifact = store.open(digest, anew=True)
        except StoreError as error:
            report.errors.append(f"{named_by}: {error}")
            continue
        manifest = artifact.manifest
        name = f"{manifest.asset} {manifest.partition or ''}".strip()
        waiting += [
            (item.manifest, f"{name}: its input {item.asset} {item.partition or ''}".strip())
            for item in manifest.inputs.values()
        ]
        report.artifacts += 1
        if content_of(manifest.artifact_class, manifest.action, manifest.parts) != manifest.content:
            report.errors.append(f"{name}: the content digest is not that of the parts")
        for part in manifest.parts:
            for role, file in part.files.items():
                if file in checked:
                    continue
                checked.add(file)
                report.files += 1
                report.bytes += file.bytes
                report.rows += file.rows or 0
                problem = _check_file(store, file)
                if problem:
                    report.errors.append(f"{name}: part {part.name}, {role}: object {file.object} {problem}; {REMEDY}")
        tell(f"{name}: {len(manifest.parts)} parts")
    report.seconds = time.monotonic() - started
    return report


def _check_file(store: ArtifactStore, file: StoredFile) -> str | None:
    """What is wrong with a stored file, or None."""
    try:
        if not store.has(file.object):
            return "is missing"
        with store.read_back(file.object) as path:
            if path.stat().st_size != file.bytes:
                return f"has {path.stat().st_size} bytes, not {file.bytes}"
            if digest_file(path) != file.object:
                return "does not have the bytes of its name"
            if file.rows is not None and file.rows_digest != file.object:
                table = read_table(path)
                if len(table) != file.rows:
                    return f"has {len(table)} rows, not {file.rows}"
                if rows_digest(table) != file.rows_digest:
                    return "has other rows than recorded"
    except (OSError, ValueError, TypeError) as error:
        return f"cannot be read: {error}"
    return None
