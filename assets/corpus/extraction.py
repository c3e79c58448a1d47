"""Documents out of files: read, extracted, decoded, normalized; every record becomes a document or a counted drop."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from assets.corpus.acquisition import inventory_of, source_root
from assets.recipe import Made, Recipe, Scope
from pipelines.core.artifacts import read_table
from pipelines.core.documents import id_directory, split_key
from pipelines.core.fingerprint import digest_json
from pipelines.core.manifest import CheckRecord, Part, total_counts
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.inventory import file_path
from pipelines.corpus.acquisition.readers import LINKED
from pipelines.corpus.acquisition.readers.latex import is_one_project, project_of
from pipelines.corpus.extraction.extract import EXTRACTION_ALGORITHMS, DocumentContext
from pipelines.corpus.extraction.units import plan_units
from pipelines.corpus.normalization.normalize import identity_of
from pipelines.project import Project
from resources.extractor import STOPPED, TaskFile, UnitTask, run_unit
from resources.mill import Mill
from resources.stages import Action, written
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
    "member_left_out",
    "not_a_file",
    "duplicate_member",
)
"""Beginnings of reasons that are no defect of a file: records that are not pages, pages without text, links."""
SHOWN_DEFECTS = 5


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
