"""How a stage runs: look up, lock, compute the missing parts, validate, publish.

An `Action` says what is asked. If it was done, the artifact is found by its digest and re-emitted in milliseconds.
Otherwise its parts run through the worker pool; each part is remembered by (algorithms, configuration, rows digests of
its inputs), so that a crash, a cancel or a new part costs only what is missing. For attributes, when a part's rows
changed, only rows whose (id, text hash) the previous attribute part lacks are computed.

Every table that a worker gives back was written, read back and compared before its digest is reported; every file is
flushed before it gets its name.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core.artifacts import Artifact, read_table
from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm, action_digest, digest_file, digest_json, rows_digest
from pipelines.core.manifest import (
    ArtifactClass,
    CheckRecord,
    Manifest,
    Part,
    StoredFile,
    content_of,
    total_counts,
)
from pipelines.core.parts import PartResult
from resources.backends import FULL, StoreError, StoreFullError
from resources.compute import ComputeEngine
from resources.locks import Hold, KernelHold
from resources.store import ArtifactStore, PartMemo

PartFunction = Callable[[Mapping[str, pa.Table], Any], PartResult]
Tally = Callable[[pa.Table, Any], dict[str, int]]
"""`tally(attribute table, configuration)`: the counts of an attribute family beside `rows_in` and `kept`."""


class Tell(Protocol):
    """How progress is told: the stage, parts (or steps) done and in all, rows done, and what else is worth a word."""

    def __call__(self, stage: str, done: int, total: int, rows: int, note: str = "") -> None: ...


def silent(stage: str, done: int, total: int, rows: int, note: str = "") -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Action:
    """What is asked of an asset: everything that decides the output, and nothing else."""

    asset: str
    partition: str | None
    algorithms: tuple[Algorithm, ...]
    config: dict[str, Any]
    inputs: dict[str, Artifact] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """Decisions that were recorded elsewhere and enter the identity, such as a batch's ordinal."""
    artifact_class: ArtifactClass = "pure"

    @property
    def digest(self) -> str:
        contents = {name: artifact.content for name, artifact in self.inputs.items()}
        return action_digest(
            self.asset, self.partition, self.algorithms, {**self.config, "facts": self.facts}, contents
        )


@dataclass(frozen=True)
class PartTask:
    """One part of one family, ready for a worker: digests in, digests out."""

    store: ArtifactStore
    function: PartFunction
    config: Any
    memo_key: str
    inputs: dict[str, str]
    """Role -> object digest of the input part's table."""
    shared: dict[str, Path]
    """Small tables that every part reads, by name, as Parquet paths."""
    previous: dict[str, str]
    """Role -> object of this part's previous attribute table, for row reuse; empty when not an attribute."""
    tally: Tally | None = None


def run_part(task: PartTask) -> PartMemo:
    """Compute one part, or find it done. Runs in a worker."""
    memo = task.store.part_memo(task.memo_key)
    if memo is not None:
        return memo
    tables = {role: read_table(task.store.path_of(digest)) for role, digest in task.inputs.items()}
    tables |= {name: read_table(path) for name, path in task.shared.items()}
    result = (_reuse_rows(task, tables) if task.previous else None) or task.function(tables, task.config)
    files = {role: store_table(task.store, table) for role, table in result.tables.items()}
    files |= {role: store_array(task.store, array) for role, array in result.arrays.items()}
    memo = PartMemo(files=files, counts=result.counts)
    task.store.remember_part(task.memo_key, memo)
    return memo


def _reuse_rows(task: PartTask, tables: dict[str, pa.Table]) -> PartResult | None:
    """Attributes in document order: old rows where (id, text hash) is known, computed rows elsewhere.

    Equal to a full computation because attributes are functions of a row. None when it could not be: the family writes
    more than one table, or counts something that nobody can tally from the merged table.
    """
    documents = tables["documents"]
    keys = [key.name for key in ATTRIBUTE_KEYS]
    (role, previous), *_ = task.previous.items()
    old = read_table(task.store.path_of(previous))
    known = {key: row for row, key in enumerate(zip(*(old[name].to_pylist() for name in keys), strict=True))}
    rows = [known.get(key, -1) for key in zip(*(documents[name].to_pylist() for name in keys), strict=True)]
    places = np.asarray(rows, np.int64)
    fresh = task.function({**tables, "documents": documents.filter(pa.array(places < 0))}, task.config)
    computed = fresh.tables[role]
    counted = {name: count for name, count in fresh.counts.items() if name not in ("rows_in", "kept")}
    if len(fresh.tables) > 1 or fresh.arrays or old.schema.names != computed.schema.names:
        return None
    if counted and task.tally is None:
        return None
    if task.tally is not None and task.tally(computed, task.config) != counted:
        raise ValueError(
            f"{task.function.__qualname__} counts {counted}, its tally {task.tally(computed, task.config)}"
        )
    places[places < 0] = len(old) + np.arange(len(computed))
    merged = pa.concat_tables([old.cast(computed.schema), computed]).take(pa.array(places)).combine_chunks()
    counts = {"rows_in": len(documents), "kept": len(documents)}
    return PartResult({role: merged}, counts | (task.tally(merged, task.config) if task.tally else {}))


def store_table(store: ArtifactStore, table: pa.Table) -> StoredFile:
    """Write a table as Parquet, read it back, compare the rows digest, move it in."""
    table = table.replace_schema_metadata(None).combine_chunks()  # pages follow chunks: equal rows, equal bytes
    wanted = rows_digest(table)
    with _scratch(store) as path:
        pq.write_table(table, path, compression="zstd", compression_level=3, row_group_size=8192, use_dictionary=False)
        if rows_digest(read_table(path)) != wanted:
            raise StoreError(f"a part written to {path.parent} reads back differently: check that disk, then run again")
        size = path.stat().st_size
        return StoredFile(object=store.add_file(path), bytes=size, rows=len(table), rows_digest=wanted)


def store_raw(store: ArtifactStore, path: Path, rows: int | None = None) -> StoredFile:
    """Move a finished file in (weights, token arrays, HTML); its rows digest is its byte digest."""
    size, digest = path.stat().st_size, digest_file(path)
    return StoredFile(object=store.add_file(path), bytes=size, rows=rows, rows_digest=digest)


def store_array(store: ArtifactStore, array: np.ndarray[Any, Any]) -> StoredFile:
    """A flat array as a raw little-endian file, readable by `numpy.memmap`."""
    with _scratch(store) as path:
        # Not `tofile`, whose error on a full disk does not say so.
        path.write_bytes(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        return store_raw(store, path)


@contextmanager
def _scratch(store: ArtifactStore) -> Iterator[Path]:
    """A path for an unfinished file, which goes if it is not moved: on a full disk it is what fills it."""
    path = store.scratch()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def store_bytes(store: ArtifactStore, data: bytes, rows: int | None = None) -> StoredFile:
    digest = store.add_bytes(data)
    return StoredFile(object=digest, bytes=len(data), rows=rows, rows_digest=digest)


@dataclass(frozen=True)
class Family:
    """One attribute family or one row-judging step over parts that line up with the documents' parts."""

    function: PartFunction
    config: Any
    algorithms: tuple[Algorithm, ...]
    identity: dict[str, Any]
    roles: tuple[tuple[str, str, str], ...]
    """(table name for the function, input name in the action, role in that input)."""
    shared: dict[str, pa.Table] = field(default_factory=dict)
    """Functions of the other inputs and the configuration: what a row's attributes depend on beside the row."""
    attribute_role: str | None = None
    """The one role that an attribute family writes: turns row reuse on."""
    tally: Tally | None = None
    """For a family that counts more than rows; without it every row is computed again when some changed."""


@dataclass
class StageRunner:
    """The store, the workers and a way to tell progress."""

    store: ArtifactStore
    compute: ComputeEngine
    tell: Tell = silent
    lock_wait_seconds: float = 3600.0
    computed: dict[str, bool] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: dict[str, float | str] = field(default_factory=dict)
    """What the current stage has to say that depends on machine and moment: told with it, never stored."""
    observe: Callable[[str, dict[str, float]], None] = lambda asset, values: None
    """Live curves: called with an external asset and its numbers while a stage runs."""
    hold: Hold = field(default_factory=KernelHold)
    """The lock of the stage that is being made. Work asks `hold.check()` as it goes on, and ends when it was lost."""
    spent: list[str] = field(default_factory=list)
    """Work folders that the stage which is being made needs no more once it is published, and not a moment before: a
    kill in between would cost a whole training or crawl."""

    def produce(
        self, action: Action, make: Callable[[], tuple[Sequence[Part], Sequence[CheckRecord], dict[str, Any]]]
    ) -> Artifact:
        """The artifact of `action`: found, or made by `make()` -> (parts, checks, facts) and published.

        Two runs that want one key wait for each other here; the second finds the first one's work done.
        """
        digest = action.digest
        started = time.monotonic()
        self.notes.clear()
        self.spent.clear()
        done = self.store.done(digest)
        if done is None:
            name = self.store.key_name(action.asset, action.partition)
            wait = self.store.lock(name, wait_seconds=self.lock_wait_seconds, tell=partial(self.tell, name, 0, 1, 0))
            with wait as hold, self._holding(hold):
                done = self.store.done(digest)
                if done is None:
                    try:
                        parts, checks, facts = make()
                        manifest = self._manifest(action, digest, tuple(parts), tuple(checks), facts)
                        artifact = self.store.publish(manifest, confirm=hold.confirm)
                    except OSError as error:
                        if error.errno not in FULL:
                            raise
                        raise StoreFullError(
                            f"{action.asset} {action.partition or ''}: no room to write in {self.store.url} "
                            f"({os.strerror(error.errno)}): free space there (`gristmill gc`), or move the store with "
                            "GRISTMILL_STORE, then run again: finished parts are kept"
                        ) from error
                    for folder in self.spent:
                        self.store.drop_work(folder)
                    self.computed[digest], self.seconds[digest] = True, time.monotonic() - started
                    return artifact
        self.store.refer(done)
        self.computed.setdefault(digest, False)
        self.seconds.setdefault(digest, time.monotonic() - started)
        return done

    @contextmanager
    def _holding(self, hold: Hold) -> Iterator[None]:
        before, self.hold = self.hold, hold
        try:
            yield
        finally:
            self.hold = before

    @staticmethod
    def _manifest(
        action: Action, digest: str, parts: tuple[Part, ...], checks: tuple[CheckRecord, ...], facts: dict[str, Any]
    ) -> Manifest:
        return Manifest(
            asset=action.asset,
            partition=action.partition,
            artifact_class=action.artifact_class,
            action=digest,
            content=content_of(action.artifact_class, digest, parts),
            algorithms={algorithm.name: algorithm.version for algorithm in action.algorithms},
            config=action.config,
            inputs={name: artifact.reference() for name, artifact in sorted(action.inputs.items())},
            parts=parts,
            counts=total_counts(parts),
            checks=checks,
            facts={**action.facts, **facts},
        )

    def run_parts(self, action: Action, lead: str, families: Sequence[Family], step: str = "") -> list[Part]:
        """Every family over every part of the input `lead`; a part's files and counts are those of all families.

        `step` tells passes of one stage apart in what is told of the progress.
        """
        tasks: list[PartTask] = []
        parts = [part for part in action.inputs[lead].parts if families[0].roles[0][2] in part.files]
        previous = self._previous(action, lead)
        for family in families:
            shared = {name: store_table(self.store, table) for name, table in sorted(family.shared.items())}
            paths = {name: self.store.path_of(file.object) for name, file in shared.items()}
            for part in parts:
                by_name = {name: _same_part(action.inputs[name], part.name) for _, name, _ in family.roles}
                files = {table: by_name[name].files[role] for table, name, role in family.roles}
                key = digest_json(
                    {
                        "function": f"{family.function.__module__}.{family.function.__qualname__}",
                        "algorithms": {item.name: item.version for item in family.algorithms},
                        "config": family.identity,
                        "inputs": {name: file.rows_digest for name, file in files.items()},
                        "shared": {name: file.rows_digest for name, file in shared.items()},
                    }
                )
                old = previous(family, part.name)
                inputs = {name: file.object for name, file in files.items()}
                tasks.append(
                    PartTask(self.store, family.function, family.config, key, inputs, paths, old, family.tally)
                )
        memos = self._run(f"{action.asset} {step}".strip(), tasks)
        return self._assemble([part.name for part in parts], families, memos)

    def provisional(self, action: Action, parts: Sequence[Part]) -> Artifact:
        """Parts of a stage that is not finished, as a handle for its next step; never published."""
        return Artifact(self._manifest(action, "", tuple(parts), (), {}), "", self.store)

    def _run(self, stage: str, tasks: list[PartTask]) -> list[PartMemo]:
        rows = 0
        finished = 0

        def done(_: int, memo: PartMemo) -> None:
            nonlocal rows, finished
            self.hold.check()
            finished += 1
            rows += memo.counts.get("rows_in", 0)
            self.tell(stage, finished, len(tasks), rows)

        return self.compute.map(run_part, tasks, done)

    @staticmethod
    def _assemble(names: list[str], families: Sequence[Family], memos: list[PartMemo]) -> list[Part]:
        parts = []
        for index, name in enumerate(names):
            mine = [memos[family * len(names) + index] for family in range(len(families))]
            files = {role: file for memo in mine for role, file in memo.files.items()}
            counts: dict[str, int] = {}
            for memo in mine:
                counts |= memo.counts
            parts.append(Part(name=name, files=files, counts=counts))
        return parts

    def _previous(self, action: Action, lead: str) -> Callable[[Family, str], dict[str, str]]:
        """Finds a part's previous attribute table, usable when everything but the documents is the same."""
        current = self.store.latest(action.asset, action.partition)
        algorithms = {item.name: item.version for item in action.algorithms}
        if current is None or current.manifest.algorithms != algorithms or current.manifest.config != action.config:
            return lambda family, name: {}
        before = {name: item.content for name, item in current.manifest.inputs.items() if name != lead}
        if before != {name: item.content for name, item in action.inputs.items() if name != lead}:
            return lambda family, name: {}
        tables = {part.name: part.files for part in current.parts}

        def find(family: Family, name: str) -> dict[str, str]:
            role = family.attribute_role
            files = tables.get(name, {})
            return {role: files[role].object} if role and role in files and self.store.has(files[role].object) else {}

        return find


def _same_part(artifact: Artifact, name: str) -> Part:
    for part in artifact.parts:
        if part.name == name:
            return part
    manifest = artifact.manifest
    raise StoreError(f"{manifest.asset} {manifest.partition or ''} has no part {name}; its inputs disagree: run again")


def written(
    store: ArtifactStore, tables: Mapping[str, pa.Table], name: str = "00000", counts: dict[str, int] | None = None
) -> Part:
    """One part made of tables that were computed in this process."""
    return Part(
        name=name, files={role: store_table(store, table) for role, table in tables.items()}, counts=counts or {}
    )
