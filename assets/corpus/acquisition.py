"""The root of every source: a sealed inventory, and for crawls and selections the archive files that we wrote."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.automation.arrivals import SEAL, inbox_folders
from assets.recipe import Made, Recipe, Scope
from pipelines.core.artifacts import Artifact, read_table
from pipelines.core.documents import split_key
from pipelines.core.manifest import CheckRecord, Part, StoredFile
from pipelines.corpus.acquisition.commoncrawl.acquire import Progress as Moment
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.selection import SELECTION
from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.crawler import CRAWLER
from pipelines.corpus.acquisition.crawl.summary import Progress
from pipelines.corpus.acquisition.dataset_layout import CARD, MAX_CARD_BYTES, Layout, dataset_layout
from pipelines.corpus.acquisition.inventory import INVENTORY, take_inventory
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.corpus.acquisition.remote import Remote, is_url, read_remote, take_remote_inventory
from pipelines.project import Project
from resources.fetcher import run_crawl, run_selection
from resources.mill import Mill
from resources.stages import Action, store_raw, store_table

CHECKS = {
    "not_empty": "the batch holds at least one file",
    "conserved": "everything that was found is counted once: a crawl's URLs and a selection's rows by outcome, files "
    "as inventoried or skipped with the reason",
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
            settled=_sealed_before,
            make=_make,
            artifact_class="recorded",
            checks=CHECKS,
        )
    ]


def _sealed_before(mill: Mill, key: str | None) -> Artifact | None:
    """The inventory as it was sealed. Its page shows the source's card as it is now, which is no part of it."""
    source = mill.project.source_of(key or "")
    mill.runner.notes |= {f"card/{name}": value for name, value in source.values().items() if value}
    return mill.store.latest("source_files", key)


def _config(project: Project, key: str | None) -> dict[str, Any]:
    if key is None:
        return {
            name: section.identity() if (section := source.crawl or source.commoncrawl) else {}
            for name, source in project.corpus.sources.items()
        }
    crawl, selection = crawl_config(project, key), selection_config(project, key)
    dataset = project.source_of(key).dataset
    return {
        "crawl": crawl.identity() if crawl else None,
        "commoncrawl": selection.identity() if selection else None,
        "include": list(_patterns(project, key)[0]),
        "dataset": dataset.identity() if dataset else None,
    }


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


def source_root(mill: Mill, key: str) -> Path | Remote:
    """The file or folder that a batch is read from, here or behind a URL."""
    project, folder = mill.project, mill.loaded.path.parent
    source, batch = project.source_of(key), project.batch_of(key)
    if source.inbox is not None:
        name = split_key(key)[1]
        for candidate in inbox_folders(mill, source):
            if candidate.name == name:
                return candidate
        raise FileNotFoundError(f"{key}: the inbox {folder / source.inbox} has no sealed folder {name}")
    declared = (batch.path if batch else None) or source.path or ""
    return Remote(declared, source.storage) if is_url(declared) else resolve_path(declared, folder)


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
    return parts, [check, _conserved(mill, parts, facts, "urls" if crawl or selection else "found")], facts


def _conserved(mill: Mill, parts: list[Part], facts: Mapping[str, Any], found: str) -> CheckRecord:
    """What was found, counted as it came, against what became of it, counted where it ended.

    A crawl's URLs end in outcomes, and its archives in the inventory; of a folder's entries, counted by the walk, each
    is a row of `files`, a row of `skipped`, or was left out by the patterns.
    """
    seen = sum(part.counts.get(found, 0) for part in parts)
    if found == "urls":
        ended = {name: count for name, count in facts.items() if name.startswith("outcome/")}
    else:
        ended = {"files": sum(part.files["files"].rows or 0 for part in parts)}
        ended["left_out"] = sum(part.counts["left_out"] for part in parts)
        for part in parts:
            reasons = read_table(mill.store.path_of(part.files["skipped"].object), ["reason"])["reason"].to_pylist()
            for reason in reasons:
                ended[f"skipped/{reason}"] = ended.get(f"skipped/{reason}", 0) + 1
    return CheckRecord(
        name="conserved",
        passed=seen == sum(ended.values()),
        description=CHECKS["conserved"],
        values={found: seen, **ended},
    )


def _inventoried(mill: Mill, key: str) -> tuple[list[Part], dict[str, Any]]:
    include, exclude = _patterns(mill.project, key)
    root, dataset = source_root(mill, key), mill.project.source_of(key).dataset
    layouts: list[Layout] = []

    def choose(names: Sequence[str]) -> list[str]:
        if dataset is None:
            return list(names)
        card = _card(root) if CARD in names else None
        layouts.append(dataset_layout(card, names, dataset))
        return layouts[0].names

    if isinstance(root, Remote):
        inventory = take_remote_inventory(root, include, (*exclude, SEAL), choose)
    else:
        inventory = take_inventory(root, include, (*exclude, SEAL), choose)
    files = inventory.files.append_column("object", pa.nulls(len(inventory.files), pa.large_string()))
    tables = {"files": store_table(mill.store, files), "skipped": store_table(mill.store, inventory.skipped)}
    counts = {
        "found": inventory.found,
        "files": len(files),
        "skipped": len(inventory.skipped),
        "left_out": inventory.left_out,
        "bytes": sum(files["bytes"].to_pylist()),
    }
    facts: dict[str, Any] = {"url": root.url} if isinstance(root, Remote) else {}
    for layout in layouts:
        facts |= {"dataset/licence": layout.licence, "dataset/missing_shards": layout.missing_shards}
    return [Part(name="00000", files=tables, counts=counts)], facts


def _card(root: Path | Remote) -> bytes | None:
    """The card of a data set."""
    if isinstance(root, Remote):
        return read_remote(root, CARD, MAX_CARD_BYTES)
    with (root / CARD).open("rb") as stream:
        return stream.read(MAX_CARD_BYTES)


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
