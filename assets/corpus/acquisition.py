"""The root of every source: a sealed inventory, and for crawls and selections the archive files that we wrote."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.automation.arrivals import SEAL, inbox_folders
from assets.recipe import Made, Recipe, Scope
from pipelines.core.artifacts import Artifact
from pipelines.core.documents import split_key
from pipelines.core.manifest import CheckRecord, Part, StoredFile
from pipelines.corpus.acquisition.commoncrawl.acquire import Progress as Moment
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.selection import SELECTION
from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.crawler import CRAWLER
from pipelines.corpus.acquisition.crawl.summary import Progress
from pipelines.corpus.acquisition.inventory import INVENTORY, take_inventory
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.project import Project
from resources.fetcher import run_crawl, run_selection
from resources.mill import Mill
from resources.stages import Action, store_raw, store_table

CHECKS = {
    "not_empty": "the batch holds at least one file",
    "conserved": "every URL that a crawl saw, and every row that was selected, ended in exactly one counted outcome",
}


def recipes(project: Project) -> list[Recipe]:
    """`source_files`."""
    return [
        Recipe(
            asset="source_files",
            group="corpus/acquisition",
            description="The sealed inventory of a batch: path, size, digest of each file; a crawl's archives too.",
            kinds=frozenset({"warc", "arrow"}),
            scope=Scope.BATCHES,
            inputs={},
            algorithms=(INVENTORY, CRAWLER, SELECTION),
            config=_config,
            settled=lambda mill, key: mill.store.latest("source_files", key),
            make=_make,
            artifact_class="recorded",
            checks=CHECKS,
        )
    ]


def _config(project: Project, key: str | None) -> dict[str, Any]:
    if key is None:
        return {
            name: section.identity() if (section := source.crawl or source.commoncrawl) else {}
            for name, source in project.corpus.sources.items()
        }
    crawl, selection = crawl_config(project, key), selection_config(project, key)
    named = {"commoncrawl": selection.identity()} if selection else {}
    return {"crawl": crawl.identity() if crawl else None, "include": list(_patterns(project, key)[0]), **named}


def crawl_config(project: Project, key: str) -> CrawlConfig | None:
    """The crawl settings of a batch: its source's, with what the batch overrides."""
    source, batch = project.source_of(key), project.batch_of(key)
    if source.crawl is None:
        return None
    overrides = (batch.crawl or {}) if batch else {}
    return CrawlConfig.model_validate({**source.crawl.model_dump(), **overrides})


def selection_config(project: Project, key: str) -> CommonCrawlConfig | None:
    """The Common Crawl settings of a batch, likewise."""
    source, batch = project.source_of(key), project.batch_of(key)
    if source.commoncrawl is None:
        return None
    overrides = (batch.commoncrawl or {}) if batch else {}
    return CommonCrawlConfig.model_validate({**source.commoncrawl.model_dump(), **overrides})


def source_root(mill: Mill, key: str) -> Path:
    """The file or folder that a batch is read from."""
    project, folder = mill.project, mill.loaded.path.parent
    source, batch = project.source_of(key), project.batch_of(key)
    if source.inbox is not None:
        name = split_key(key)[1]
        for candidate in inbox_folders(mill, source):
            if candidate.name == name:
                return candidate
        raise FileNotFoundError(f"{key}: the inbox {folder / source.inbox} has no sealed folder {name}")
    return resolve_path((batch.path if batch else None) or source.path or "", folder)


def _patterns(project: Project, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    source, batch = project.source_of(key), project.batch_of(key)
    return (batch.include if batch and batch.include else source.include), source.exclude


def _make(mill: Mill, action: Action) -> Made:
    key = action.partition or ""
    crawl, selection = crawl_config(mill.project, key), selection_config(mill.project, key)
    if crawl:
        parts, facts = _crawled(mill, action, crawl)
    elif selection:
        parts, facts = _selected(mill, action, selection)
    else:
        parts, facts = _inventoried(mill, key)
    rows = sum(part.files["files"].rows or 0 for part in parts)
    check = CheckRecord(name="not_empty", passed=rows > 0, description=CHECKS["not_empty"], values={"files": rows})
    outcomes = sum(count for name, count in facts.items() if name.startswith("outcome/"))
    seen = sum(part.counts.get("urls", 0) for part in parts)
    conserved = CheckRecord(
        name="conserved",
        passed=outcomes == seen,
        description=CHECKS["conserved"],
        values={"urls": seen, "outcomes": outcomes},
    )
    return parts, [check, conserved], facts


def _inventoried(mill: Mill, key: str) -> tuple[list[Part], dict[str, Any]]:
    include, exclude = _patterns(mill.project, key)
    inventory = take_inventory(source_root(mill, key), include, (*exclude, SEAL))
    files = inventory.files.append_column("object", pa.nulls(len(inventory.files), pa.large_string()))
    tables = {"files": store_table(mill.store, files), "skipped": store_table(mill.store, inventory.skipped)}
    counts = {"files": len(files), "skipped": len(inventory.skipped), "bytes": sum(files["bytes"].to_pylist())}
    return [Part(name="00000", files=tables, counts=counts)], {}


def _crawled(mill: Mill, action: Action, crawl: CrawlConfig) -> tuple[list[Part], dict[str, Any]]:
    work = mill.store.work_folder(f"crawl/{action.digest}")

    def progress(moment: Progress) -> None:
        mill.runner.hold.check()
        mill.runner.tell(f"crawling {action.partition}", moment.pages, crawl.max_pages, moment.pages)

    summary = run_crawl(crawl, work, progress=progress)
    files = _archived(mill, work, summary.files) | {"log": store_table(mill.store, summary.log)}
    mill.runner.spent.append(f"crawl/{action.digest}")
    counts = {"files": len(summary.files), "pages": summary.pages, "bytes": summary.bytes, "urls": summary.urls_seen}
    facts: dict[str, object] = {f"outcome/{name}": count for name, count in summary.outcomes.items()}
    facts |= {f"robots/{host}": verdict for host, verdict in summary.robots.items()}
    return [Part(name="00000", files=files, counts=counts)], {**facts, "bounded_by": summary.bounded_by or "nothing"}


def _selected(mill: Mill, action: Action, selection: CommonCrawlConfig) -> tuple[list[Part], dict[str, Any]]:
    folder = f"commoncrawl/{action.digest}"
    work = mill.store.work_folder(folder)

    def progress(moment: Moment) -> None:
        mill.runner.hold.check()
        mill.runner.tell(f"{moment.phase} {action.partition}", moment.done, moment.total, moment.done, moment.note)

    done = run_selection(selection, work, progress=progress)
    files = _archived(mill, work, done.files) | {"selection": store_table(mill.store, done.table)}
    mill.runner.spent.append(folder)
    counts = {"files": len(done.files), "bytes": done.stored, "urls": len(done.table), "rows": done.seen}
    facts: dict[str, object] = {f"outcome/{name}": count for name, count in done.outcomes.items()}
    facts |= {f"refused/{name}": count for name, count in done.refused.items()}
    facts |= {f"estimate/{name}": value for name, value in done.estimate._asdict().items()}
    mill.runner.notes |= {"received_bytes": done.received}
    return [Part(name="00000", files=files, counts=counts)], facts


def _archived(mill: Mill, work: Path, names: Sequence[str]) -> dict[str, StoredFile]:
    """The archives of a work folder in the store, and their inventory."""
    rows: list[dict[str, Any]] = []
    files = {}
    for name in names:
        # A link, not a move: a kill between here and the reference finds the crawl whole in its folder.
        link = mill.store.scratch()
        os.link(work / name, link)
        stored = store_raw(mill.store, link)
        files[f"archive/{name}"] = stored
        rows.append({"path": name, "bytes": stored.bytes, "digest": stored.object, "object": stored.object})
    files["files"] = store_table(mill.store, pa.Table.from_pylist(rows, schema=INVENTORY_WITH_OBJECTS))
    return files


INVENTORY_WITH_OBJECTS = pa.schema(
    [("path", pa.large_string()), ("bytes", pa.int64()), ("digest", pa.large_string()), ("object", pa.large_string())]
)


def inventory_of(artifact: Artifact) -> pa.Table:
    """path, bytes, digest, object of every file of a batch; `object` is null for files that are referenced only."""
    return artifact.table(artifact.parts[0], "files")
