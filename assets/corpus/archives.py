"""Crawls and selections of Common Crawl as parts of `source_files`: their settings, their archives, and the check of
both."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.artifacts import read_table
from pipelines.core.manifest import Part, StoredFile
from pipelines.corpus.acquisition.commoncrawl.acquire import Progress as Moment
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.summary import Progress
from pipelines.project import Project
from resources.fetcher import run_crawl, run_selection
from resources.mill import Mill
from resources.stages import Action, store_raw, store_table

INVENTORY_WITH_OBJECTS = pa.schema(
    [("path", pa.large_string()), ("bytes", pa.int64()), ("digest", pa.large_string()), ("object", pa.large_string())]
)
_KEPT = ("outcome/fetched", "outcome/redirected")
"""Outcomes whose records are in the archives; a selection's begin with `fetched`."""


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


def crawled(mill: Mill, action: Action, crawl: CrawlConfig) -> tuple[list[Part], dict[str, Any]]:
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


def selected(mill: Mill, action: Action, selection: CommonCrawlConfig) -> tuple[list[Part], dict[str, Any]]:
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


def stored_whole(mill: Mill, part: Part, facts: Mapping[str, Any]) -> bool:
    """Whether each kept URL or row has its record in an archive, and each archive of a crawl ends with its last one."""
    kept = sum(count for name, count in facts.items() if name.startswith(_KEPT))
    sizes = {name: file.bytes for name, file in part.files.items() if name.startswith("archive/")}
    crawl = "log" in part.files
    path = mill.store.path_of(part.files["log" if crawl else "selection"].object)
    rows = read_table(path, ["stored_in", "stored_to"] if crawl else ["stored_in"])
    rows = rows.filter(pc.is_valid(rows["stored_in"]))
    if not crawl:
        return len(rows) == kept and set(pc.unique(rows["stored_in"]).to_pylist()) <= {
            name.removeprefix("archive/") for name in sizes
        }
    last = rows.group_by("stored_in").aggregate([("stored_to", "max")])
    ends = dict(zip(last["stored_in"].to_pylist(), last["stored_to_max"].to_pylist(), strict=True))
    return len(rows) == kept and ends == dict(enumerate(sizes[name] for name in sorted(sizes)))
