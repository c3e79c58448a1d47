"""A document beyond its limits is one counted drop of its unit, and is dropped again untried when that is recorded."""

from pathlib import Path

import pytest

from pipelines.core.artifacts import read_table
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.records import Record
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.extraction.extract import DocumentContext, extract_records
from pipelines.corpus.normalization.config import WordSegmentation
from resources.extractor import TaskFile, UnitTask, extractor, isolated, run_unit
from resources.store import ArtifactStore, PartMemo

SMALL_MEMORY = ExtractionConfig(max_document_memory=64 << 20)


@pytest.fixture
def files(tmp_path: Path) -> tuple[TaskFile, ...]:
    texts = {"a.txt": "A sound text.", "b.txt": "\U0001f600é " * 5_000_000, "c.txt": "Another one."}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tuple(TaskFile(tmp_path / name, name, len(text.encode()), None) for name, text in texts.items())


def run(tmp_path: Path, task_key: str, files: tuple[TaskFile, ...], **more: object) -> list[tuple]:
    store = ArtifactStore(str(tmp_path / "store"), "p", tmp_path / "cache")
    context = DocumentContext("s", "b", "d")
    reader = ReaderConfig(format="folder", max_record_bytes=64 << 20, max_line_bytes=128 << 20)
    memo: PartMemo = run_unit(UnitTask(store, task_key, "s.b", context, files, reader, **more))  # type: ignore[arg-type]
    assert memo.counts["0/records"] == 3
    table = read_table(store.path_of(memo.files["0/drops"].object))
    return [(row["locator"], row["reason"], row["detail"]) for row in table.to_pylist()]


def test_memory_is_limited_and_the_rest_is_kept(tmp_path: Path, files: tuple) -> None:
    (drop,) = run(tmp_path, "1" * 64, files, config=SMALL_MEMORY)
    assert drop[0].startswith("b.txt")
    assert drop[1:] == ("extraction_memory", f"more than {64 << 20} bytes")
    # With room the same document is only too large; what was recorded is repeated whatever the room.
    (roomy,) = run(tmp_path, "2" * 64, files, config=ExtractionConfig())
    assert roomy[1] == "record_too_large"
    recorded = {drop[0]: drop[1:]}
    assert run(tmp_path, "3" * 64, files, config=ExtractionConfig(), stopped=recorded) == [drop]


def test_dictionaries_are_loaded_within_the_limits() -> None:
    """jieba's takes 1.5 s in a new process, more than a document's second, and the first document waits for it."""
    pytest.importorskip("jieba")
    extractor.cache_clear()
    context = DocumentContext("s", "b", "d", "zh", (WordSegmentation(),))
    record = Record("a", None, "我来到北京清华大学", None, None, None, {}, "text")
    config = ExtractionConfig()
    (part,) = extract_records([record], "s.b", context, config, isolated(config, context))
    assert part.tables["documents"]["text"].to_pylist() == ["我 来到 北京 清华大学"]
