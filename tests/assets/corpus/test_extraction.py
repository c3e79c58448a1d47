"""A document beyond its limits, through the assets: one counted drop, recorded, and the same verdict ever after."""

import shutil
from pathlib import Path

import pytest
import yaml

import assets.corpus.extraction
import resources.extractor
from assets.graph import all_recipes
from assets.recipe import produce
from pipelines.core.artifacts import read_table
from pipelines.core.manifest import Part
from pipelines.corpus.acquisition.records import Drop, Record
from pipelines.corpus.extraction.extract import Extracted, Settings, extracted
from resources.home import find_home
from resources.mill import Mill, open_mill
from tests.end_to_end.small_project import environment, write_project

KEY = "pages.first"
TEXTS = {"a.txt": "A sound text.", "b.txt": "SPIN here.", "c.txt": "EAT this.", "d.txt": "Another one."}
LIMITS = {"max_document_seconds": 1, "max_document_memory": 512 << 20}


def on_a_slow_machine(item: tuple[Settings, Record | Drop]) -> Extracted:
    """Extraction that does not end on one document, and claims too much for another."""
    body = "" if isinstance(item[1], Drop) else item[1].body
    body = body if isinstance(body, str) else bytes(body).decode()
    while "SPIN" in body:
        pass
    if "EAT" in body:
        bytearray(1 << 40)
    return extracted(item)


def mill_of(folder: Path) -> Mill:
    (folder / "pages").mkdir(parents=True)
    for name, text in TEXTS.items():
        (folder / "pages" / name).write_text(text)
    path = write_project(folder)
    project = yaml.safe_load(path.read_text())
    reader = {"format": "folder"}
    source = {
        "domain": "d",
        "licence": "CC0-1.0",
        "path": str(folder / "pages"),
        "reader": reader,
        "max_unreadable": 1.0,
    }
    project["corpus"] |= {"sources": {"pages": source}, "extraction": LIMITS}
    project["tokenizers"]["bpe"]["batches"] = []
    path.write_text(yaml.safe_dump(project))
    open_mill.cache_clear()
    return open_mill(find_home(environment(folder / "home", path, workers=1)))


def rows(mill: Mill, parts: tuple[Part, ...] | list[Part], role: str) -> list[dict[str, object]]:
    files = [part.files[role] for part in parts if role in part.files]
    return [row for file in files for row in read_table(mill.store.path_of(file.object)).to_pylist()]


def forget_the_process() -> None:
    """The next document gets a new process: the present one has the slow function."""
    for cached in vars(resources.extractor).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()


def test_what_was_stopped_is_recorded_and_dropped_again_untried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mill = mill_of(tmp_path)
    recipes = all_recipes(mill.project)
    produce(mill, recipes["source_files"], KEY)
    with monkeypatch.context() as slow:
        slow.setattr(resources.extractor, "extracted", on_a_slow_machine)
        first, computed, _ = produce(mill, recipes["crawled_text"], KEY)
    assert computed
    drops = {str(row["locator"])[:5]: row["reason"] for row in rows(mill, first.parts, "drops")}
    assert drops == {"b.txt": "extraction_time", "c.txt": "extraction_memory"}
    assert sorted(str(row["text"]) for row in rows(mill, first.parts, "documents")) == ["A sound text.", "Another one."]
    counts = first.manifest.counts
    assert (counts["records"], counts["kept"], counts["dropped/extraction_time"]) == (4, 2, 1)
    recorded = first.manifest.facts["stopped"]
    assert sorted((place[:5], reason) for place, reason, _ in recorded) == sorted(drops.items())

    forget_the_process()
    # Everything that was remembered of the parts is gone, and this machine is fast: nothing stops anything.
    for memos in tmp_path.rglob("memo/parts"):
        shutil.rmtree(memos)
    again, _, facts = recipes["crawled_text"].make(mill, recipes["crawled_text"].action(mill, KEY))
    assert [part.files for part in again] == [part.files for part in first.parts]
    assert facts["stopped"] == recorded

    # Without the record the verdict is the machine's own.
    monkeypatch.setattr(assets.corpus.extraction, "_stopped_before", lambda *_: {})
    for memos in tmp_path.rglob("memo/parts"):
        shutil.rmtree(memos)
    fresh, _, facts = recipes["crawled_text"].make(mill, recipes["crawled_text"].action(mill, KEY))
    assert len(rows(mill, fresh, "documents")) == 4
    assert facts == {}


@pytest.mark.parametrize(
    ("reason", "readable"), [("not_a_file", True), ("duplicate_member", True), ("duplicate_locator", False)]
)
def test_links_and_copies_in_an_archive_are_no_defects_of_a_source(tmp_path: Path, reason: str, readable: bool) -> None:
    part = Part(name="p", files={}, counts={"records": 9, f"dropped/{reason}": 9})
    checks = {check.name: check for check in assets.corpus.extraction._checks(mill_of(tmp_path).store, [part], 0.0)}
    assert (checks["conserved"].passed, checks["readable"].passed) == (True, readable)
