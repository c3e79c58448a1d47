"""The root of every source: a sealed inventory, and for crawls and selections the archive files that we wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.automation.arrivals import SEAL, inbox_folders
from assets.corpus.archives import crawl_config, crawled, selected, selection_config, stored_whole
from assets.recipe import Made, Recipe, Scope
from pipelines.core.artifacts import Artifact, read_table
from pipelines.core.documents import split_key
from pipelines.core.manifest import CheckRecord, Part, total_counts
from pipelines.corpus.acquisition.commoncrawl.selection import SELECTION
from pipelines.corpus.acquisition.crawl.crawler import CRAWLER
from pipelines.corpus.acquisition.dataset_layout import CARD, MAX_CARD_BYTES, Layout, dataset_layout
from pipelines.corpus.acquisition.inventory import INVENTORY, recount, take_inventory
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.corpus.acquisition.remote import Remote, is_url, read_remote, recount_remote, take_remote_inventory
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, store_table

CHECKS = {
    "not_empty": "the batch holds at least one file",
    "conserved": "everything that was found is counted once: a crawl's URLs and a selection's rows by outcome, files "
    "as inventoried or skipped with the reason; a second look at the files and archives finds the same",
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
        parts, facts = crawled(mill, action, crawl)
    elif selection:
        parts, facts = selected(mill, action, selection)
    else:
        parts, facts = _inventoried(mill, key)
    rows = sum(part.files["files"].rows or 0 for part in parts)
    check = CheckRecord(name="not_empty", passed=rows > 0, description=CHECKS["not_empty"], values={"files": rows})
    work = f"crawl/{action.digest}" if crawl else f"commoncrawl/{action.digest}" if selection else None
    return parts, [check, _conserved(mill, parts, facts, work)], facts


def _conserved(mill: Mill, parts: list[Part], facts: Mapping[str, Any], work: str | None) -> CheckRecord:
    """What was found, counted as it came, against what became of it, counted where it ended.

    A crawl's URLs and a selection's rows end in outcomes, and those that were kept end in archives, whose sizes are the
    ends of their last records. A folder's entries, counted by the walk, are each a row of `files`, a row of `skipped`,
    or left out by the patterns; and a second look, after the last file was read, finds the same entries and sizes.
    `work` is the work folder of a crawl or selection, which stays until it is published; None for files and folders.
    """
    found = "found" if work is None else "urls"
    counts = total_counts(tuple(parts))
    values: dict[str, Any] = {found: counts.get(found, 0)}
    if work is not None:
        ended = {name: count for name, count in facts.items() if name.startswith("outcome/")}
        same = all(stored_whole(mill, part, facts) for part in parts)
        remedy = (
            "the archives do not hold what the outcomes say was kept: remove the folder "
            f"work/{work} of the store, then run again to fetch it anew"
        )
    else:
        ended = {"files": sum(part.files["files"].rows or 0 for part in parts), "left_out": counts["left_out"]}
        for part in parts:
            reasons = read_table(mill.store.path_of(part.files["skipped"].object), ["reason"])["reason"].to_pylist()
            for reason in reasons:
                ended[f"skipped/{reason}"] = ended.get(f"skipped/{reason}", 0) + 1
        again = {name: counts[name] for name in ("found_again", "bytes", "bytes_again")}
        same = again["found_again"] == counts[found] and again["bytes_again"] == again["bytes"]
        values |= again
        remedy = "they changed while they were sealed: let the folder come to rest, then run again"
    return CheckRecord(
        name="conserved",
        passed=same and counts.get(found, 0) == sum(ended.values()),
        description=CHECKS["conserved"] + ("" if same else f"; {remedy}"),
        values={**values, **ended},
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
        again = recount_remote(root, inventory.files)
    else:
        inventory = take_inventory(root, include, (*exclude, SEAL), choose)
        again = recount(root, inventory.files)
    files = inventory.files.append_column("object", pa.nulls(len(inventory.files), pa.large_string()))
    tables = {"files": store_table(mill.store, files), "skipped": store_table(mill.store, inventory.skipped)}
    counts = {
        "found": inventory.found,
        "found_again": again.entries,
        "bytes_again": again.bytes,
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


def inventory_of(artifact: Artifact) -> pa.Table:
    """path, bytes, digest, object of every file of a batch; `object` is null for files that are referenced only."""
    return artifact.table(artifact.parts[0], "files")
