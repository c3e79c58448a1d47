"""Documents out of files: read, extracted, decoded, normalized; every record becomes a document or a counted drop."""

import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.corpus.acquisition import inventory_of, source_root
from assets.recipe import Made, Recipe, Scope
from pipelines.core.artifacts import read_table
from pipelines.core.documents import id_directory, split_key
from pipelines.core.fingerprint import digest_file, digest_json
from pipelines.core.manifest import CheckRecord, Part, StoredFile, total_counts
from pipelines.core.parts import PartResult
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.inventory import file_path
from pipelines.corpus.acquisition.readers import LINKED
from pipelines.corpus.acquisition.readers.latex import is_one_project, project_of
from pipelines.corpus.acquisition.records import Drop, Record
from pipelines.corpus.acquisition.remote import Remote, fetch
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.extraction.extract import (
    EXTRACTION_ALGORITHMS,
    DocumentContext,
    Extracted,
    Settings,
    UnitFile,
    extract_unit,
    extracted,
    warm_up,
)
from pipelines.corpus.extraction.units import plan_units
from pipelines.corpus.normalization.normalize import identity_of
from pipelines.project import Project
from resources.backends import StoreError
from resources.killable import KillableProcess, Limits, Stopped
from resources.mill import Mill
from resources.stages import Action, store_table, written
from resources.store import ArtifactStore, PartMemo

DIRECTORY = "directory"
"""Name of the part that says for every id of the batch in which part and row its document is."""
CHECKS = {
    "conserved": "every record is a document or a drop with its reason and place",
    "readable": "no more records were unreadable than the source allows",
}
EXPECTED_DROPS = (
    "record_type_",
    "content_type",
    "http_status",
    "redirect",
    "namespace",
    "not_wikitext",
    "binary_file",
    "empty_",
    "no_text",
    "not_http",
    "post_type",
    "orphan_answer",
    "included_file",
)
"""Beginnings of reasons that are no defect of a file: records that are not pages, pages without text."""
SHOWN_DEFECTS = 5
STOPPED = "extraction_"
"""Beginning of the reasons of documents whose extraction was killed: `extraction_time`, `_memory`, `_crash`."""
FETCHED_SCHEMA = pa.schema(
    [("path", pa.large_string()), ("bytes", pa.int64()), ("mark", pa.large_string()), ("sha256", pa.large_string())]
)
"""Role `fetched`: what was read of remote files, by content."""


def recipes(project: Project) -> list[Recipe]:
    """`crawled_text`."""
    return [
        Recipe(
            asset="crawled_text",
            group="corpus/extraction",
            description="Documents with their place in the archive; what could not be read is a row of `drops`.",
            kinds=frozenset({"warc", "arrow"}),
            scope=Scope.BATCHES,
            inputs={"files": "source_files"},
            algorithms=EXTRACTION_ALGORITHMS,
            config=_config,
            make=_make,
            checks=CHECKS,
        )
    ]


def _config(project: Project, key: str | None) -> dict[str, Any]:
    if key is None:
        return {name: _source(project, f"{name}.x") for name in project.corpus.sources}
    return _source(project, key)


def _source(project: Project, key: str) -> dict[str, Any]:
    source = project.source_of(key)
    return {
        "reader": reader_config(project, key).identity(),
        "extraction": project.corpus.extraction.identity(),
        "normalization": identity_of(project.operations_of(key)),
        "domain": source.domain,
        "language": source.language,
    }


def reader_config(project: Project, key: str) -> ReaderConfig:
    """The reader of a batch: its source's, with the batch's slice of records."""
    source, batch = project.source_of(key), project.batch_of(key)
    if batch is not None and batch.records is not None:
        return source.reader.model_copy(update={"records": batch.records})
    return source.reader


@dataclass(frozen=True)
class UnitTask:
    """One unit of consecutive files for a worker."""

    store: ArtifactStore
    memo_key: str
    key: str
    context: DocumentContext
    files: tuple["TaskFile", ...]
    reader: ReaderConfig
    config: ExtractionConfig
    stopped: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Records that an earlier run of the same action had to stop, by locator: (reason, detail)."""
    siblings: tuple["TaskFile", ...] = ()
    """Files that those of a linked format may include."""


@dataclass(frozen=True)
class TaskFile:
    """A file of the inventory and where it lies: on this disk, in the store (nothing to check), or behind a URL."""

    place: Path | Remote
    name: str
    bytes: int
    digest: str | None


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
    settings = task.config, task.context.normalization, task.context.language
    process = _extractor(Limits(task.config.max_document_seconds, task.config.max_document_memory))

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

    return extract_unit(units, task.key, task.context, task.reader, task.config, siblings, run, task.stopped)


@lru_cache(maxsize=1)
def _extractor(limits: Limits) -> KillableProcess[tuple[Settings, Record | Drop], Extracted]:
    """The process that extracts for this one; it starts with the first document (1 s) and serves all units."""
    return KillableProcess(extracted, limits, warm_up)


def _weight(item: tuple[Settings, Record | Drop]) -> int:
    return 0 if isinstance(item[1], Drop) else len(item[1].body)


def _stopped_before(mill: Mill, action: Action) -> dict[str, tuple[str, str]]:
    """What an earlier run of this very extraction had to stop: recorded, so it is dropped again untried."""
    before = mill.store.latest(action.asset, action.partition)
    if before is None or before.manifest.action != action.digest:
        return {}
    return {place: (reason, told) for place, reason, told in before.manifest.facts.get("stopped", [])}


def _stopped(store: ArtifactStore, parts: list[Part]) -> dict[str, Any]:
    """The fact to record: (locator, reason, detail) of every document that was stopped; nothing for none."""
    rows = [
        [row["locator"], row["reason"], row["detail"]]
        for part in parts
        if any(name.startswith(f"dropped/{STOPPED}") for name in part.counts)
        for row in read_table(store.path_of(part.files["drops"].object)).to_pylist()
        if row["reason"].startswith(STOPPED)
    ]
    return {"stopped": rows} if rows else {}


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


def _make(mill: Mill, action: Action) -> Made:
    key = action.partition or ""
    source_name, batch = split_key(key)
    source = mill.project.source_of(key)
    operations = mill.project.operations_of(key)
    context = DocumentContext(source_name, batch, source.domain, source.language, operations)
    inventory = inventory_of(action.inputs["files"])
    place = {row["path"]: row for row in inventory.to_pylist()}
    reader, config = reader_config(mill.project, key), mill.project.corpus.extraction
    stopped = _stopped_before(mill, action)
    tasks = []
    for unit in plan_units(inventory, config):
        rows = [place[name] for name in unit.files]
        linked = _linked(unit.files, place) if reader.format in LINKED else []
        identity = {"action": _unit_identity(action, key), "files": [(row["path"], row["digest"]) for row in rows]}
        if linked:
            identity["siblings"] = [(row["path"], row["digest"]) for row in linked]
        files, siblings = (tuple(_located(mill, key, row) for row in part) for part in (rows, linked))
        memo_key = digest_json(identity)
        tasks.append(UnitTask(mill.store, memo_key, key, context, files, reader, config, stopped, siblings))
    rows_done = 0

    def done(index: int, memo: PartMemo) -> None:
        nonlocal rows_done
        rows_done += sum(count for name, count in memo.counts.items() if name.endswith("/records"))
        mill.runner.tell(action.asset, index + 1, len(tasks), rows_done)

    memos = mill.compute.map(run_unit, tasks, done)
    documents = [part for unit, memo in enumerate(memos) for part in _parts(unit, memo)]
    parts = list(documents)
    if parts:
        directory = id_directory(
            [read_table(mill.store.path_of(part.files["documents"].object), ["id"]) for part in parts]
        )
        parts.append(written(mill.store, {"directory": directory}, name=DIRECTORY))
    return parts, _checks(mill.store, parts, source.max_unreadable), _stopped(mill.store, documents)


def _unit_identity(action: Action, key: str) -> dict[str, Any]:
    versions = {item.name: item.version for item in action.algorithms}
    return {"key": key, "algorithms": versions, "config": action.config}


def _linked(names: Sequence[str], place: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The other files of the projects of a unit's files: what these may include."""
    one, mine, projects = is_one_project(place), set(names), {project_of(name) for name in names}
    return [row for name, row in place.items() if name not in mine and (one or project_of(name) in projects)]


def _located(mill: Mill, key: str, row: dict[str, Any]) -> TaskFile:
    if row["object"] is not None:
        return TaskFile(mill.store.path_of(row["object"]), row["path"], row["bytes"], None)
    root = source_root(mill, key)
    if isinstance(root, Path):
        root = root if root.is_file() else file_path(root, row["path"])
    return TaskFile(root, row["path"], row["bytes"], row["digest"])


def _parts(unit: int, memo: PartMemo) -> list[Part]:
    numbers = sorted({int(role.partition("/")[0]) for role in memo.files})
    return [
        Part(
            name=f"{unit:05d}-{number:04d}",
            files={role.partition("/")[2]: file for role, file in memo.files.items() if role.startswith(f"{number}/")},
            counts={
                name.partition("/")[2]: count for name, count in memo.counts.items() if name.startswith(f"{number}/")
            },
        )
        for number in numbers
    ]


def _first_defects(store: ArtifactStore, parts: list[Part]) -> str:
    """The first unreadable records, each with file, place and reason: nothing is published, so they are told here."""
    tables = (read_table(store.path_of(part.files["drops"].object)) for part in parts if "drops" in part.files)
    defects = (row for table in tables for row in table.to_pylist() if not row["reason"].startswith(EXPECTED_DROPS))
    shown = [f"{row['locator']} {row['reason']} ({row['detail']})" for row in islice(defects, SHOWN_DEFECTS)]
    return (
        f"; the first are {', '.join(shown)}: repair the files, see that `reader.format` is theirs, or raise "
        "`max_unreadable` of the source"
    )


def _checks(store: ArtifactStore, parts: list[Part], max_unreadable: float) -> list[CheckRecord]:
    counts = total_counts(tuple(parts))
    records, kept = counts.get("records", 0), counts.get("kept", 0)
    drops = {name.removeprefix("dropped/"): count for name, count in counts.items() if name.startswith("dropped/")}
    unreadable = sum(count for reason, count in drops.items() if not reason.startswith(EXPECTED_DROPS))
    rows = sum(part.files["documents"].rows or 0 for part in parts if "documents" in part.files)
    readable = unreadable <= max_unreadable * max(kept + unreadable, 1)
    return [
        CheckRecord(
            name="conserved",
            passed=records == kept + sum(drops.values()) and rows == kept,
            description=CHECKS["conserved"],
            values={"records": records, "kept": kept, "dropped": sum(drops.values())},
        ),
        CheckRecord(
            name="readable",
            passed=readable,
            description=CHECKS["readable"] if readable else CHECKS["readable"] + _first_defects(store, parts),
            values={"unreadable": unreadable, "kept": kept, "allowed_share": max_unreadable},
        ),
    ]
