"""Extraction of one unit of a batch, in a worker.

A unit comes in: consecutive files of the inventory, on this disk, in the store or behind URLs. Step 1: its memo. Step
2: files are fetched, or checked to be what was sealed. Step 3: every record is extracted in a process of its own that
is killed at its limits (`killable`). Step 4: parts go into the store, then the memo. Nothing here knows of Dagster, so
that a worker loads the library alone.
"""

import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pipelines.core.fingerprint import digest_file
from pipelines.core.manifest import StoredFile
from pipelines.core.parts import PartResult
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.records import Drop, Record
from pipelines.corpus.acquisition.remote import Remote, fetch
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.extraction.extract import (
    DocumentContext,
    Extracted,
    Run,
    Settings,
    UnitFile,
    extract_unit,
    extracted,
    warm_up,
)
from pipelines.corpus.normalization.normalize import load_dictionaries
from resources.backends import StoreError
from resources.killable import KillableProcess, Limits, Stopped
from resources.stages import store_table
from resources.store import ArtifactStore, PartMemo

DICTIONARIES: Final = 10
"""Times as long may a document take whose normalization loads dictionaries."""
STOPPED: Final = "extraction_"
"""Beginning of the reasons of documents whose extraction was killed: `extraction_time`, `_memory`, `_crash`."""
FETCHED_SCHEMA: Final = pa.schema(
    [("path", pa.large_string()), ("bytes", pa.int64()), ("mark", pa.large_string()), ("sha256", pa.large_string())]
)
"""Role `fetched`: what was read of remote files, by content."""


@dataclass(frozen=True)
class TaskFile:
    """A file of the inventory and where it lies: on this disk, in the store (nothing to check), or behind a URL."""

    place: Path | Remote
    name: str
    bytes: int
    digest: str | None


@dataclass(frozen=True)
class UnitTask:
    """One unit of consecutive files for a worker."""

    store: ArtifactStore
    memo_key: str
    key: str
    context: DocumentContext
    files: tuple[TaskFile, ...]
    reader: ReaderConfig
    config: ExtractionConfig
    stopped: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Records that an earlier run of the same action had to stop, by locator: (reason, detail)."""
    siblings: tuple[TaskFile, ...] = ()
    """Files that those of a linked format may include."""


def run_unit(task: UnitTask) -> PartMemo:
    """Extract one unit, or find it done; the files of part n have the roles `n/documents`, `n/positions`, `n/drops`."""
    memo = task.store.part_memo(task.memo_key)
    if memo is not None:
        return memo
    files: dict[str, StoredFile] = {}
    counts: dict[str, int] = {}
    fetched: list[dict[str, Any]] = []
    folder = task.store.scratch()
    try:
        units = [_here(task, file, folder, fetched) for file in task.files]
        siblings = [_here(task, file, folder, fetched) for file in task.siblings]
        for number, result in enumerate(_results(units, siblings, task)):
            files |= {f"{number}/{role}": store_table(task.store, table) for role, table in result.tables.items()}
            counts |= {f"{number}/{name}": count for name, count in result.counts.items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if fetched and files:
        files["0/fetched"] = store_table(task.store, pa.Table.from_pylist(fetched, schema=FETCHED_SCHEMA))
    memo = PartMemo(files=files, counts=counts)
    task.store.remember_part(task.memo_key, memo)
    return memo


def _results(units: list[UnitFile], siblings: list[UnitFile], task: UnitTask) -> Iterator[PartResult]:
    """The unit's parts, every document extracted in a process that is killed at its limits."""
    run = isolated(task.config, task.context)
    return extract_unit(units, task.key, task.context, task.reader, task.config, siblings, run, task.stopped)


def isolated(config: ExtractionConfig, context: DocumentContext) -> Run:
    """Extraction in the one process that this process has for it, within the limits of `config`."""
    settings = config, context.normalization, context.language
    patience = DICTIONARIES if load_dictionaries(context.normalization) else 1
    process = extractor(Limits(patience * config.max_document_seconds, config.max_document_memory))

    def run(records: Iterable[Record | Drop]) -> Iterator[Extracted]:
        places: deque[str] = deque()  # of the records that were sent and not answered

        def sent() -> Iterator[tuple[Settings, Record | Drop]]:
            for record in records:
                places.append(record.locator)
                yield settings, record

        for answer in process.map(sent(), _weight):
            place = places.popleft()
            if isinstance(answer, Stopped):
                answer = Extracted(Drop(place, STOPPED + answer.reason, answer.detail), {})
            yield answer

    return run


@lru_cache(maxsize=1)
def extractor(limits: Limits) -> KillableProcess[tuple[Settings, Record | Drop], Extracted]:
    """The process that extracts for this one; it starts with the first document (1 s) and serves all units."""
    return KillableProcess(extracted, limits, warm_up)


def _weight(item: tuple[Settings, Record | Drop]) -> int:
    return 0 if isinstance(item[1], Drop) else len(item[1].body)


def _here(task: UnitTask, file: TaskFile, folder: Path, fetched: list[dict[str, Any]]) -> UnitFile:
    """The file on this disk, fetched into `folder` if it is remote, and checked to be what was sealed."""
    if isinstance(file.place, Remote):
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / f"{len(fetched):06d}"
        sha256 = fetch(file.place, file.name, file.bytes, file.digest or "", copy)
        fetched.append({"path": file.name, "bytes": file.bytes, "mark": file.digest, "sha256": sha256})
        return UnitFile(copy, file.name)
    if file.digest is not None and (not file.place.exists() or digest_file(file.place) != file.digest):
        raise StoreError(
            f"{task.key}: {file.name} is not what was sealed ({file.place} changed or went); put it back, or give the "
            "new file to a new batch"
        )
    return UnitFile(file.place, file.name)
