"""Markdown: the source as written, front matter in `meta`."""

import gzip
import time
from pathlib import Path

import pytest

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Drop, Record

MARKDOWN = ReaderConfig(format="markdown")
BODY = "# Title\n\n- *item*\n\n```python\nx = 1\n```\n\n---\n\n$a$\n"


@pytest.mark.parametrize(
    ("source", "body", "meta"),
    [
        (BODY, BODY, {}),
        (f'---\ntitle: "T: x"\ntags: [a]\nlist:\n  - one\n---\n{BODY}', BODY, {"title": "T: x", "tags": "[a]"}),
        (f"\ufeff---\r\ntitle: T\r\n---\r\n{BODY}", BODY, {"title": "T"}),
        (f"---\nnever closed\n{BODY.replace('---', '')}", f"---\nnever closed\n{BODY.replace('---', '')}", {}),
        (f"---\na: &a [x]\nb: *a\n...\n{BODY}", BODY, {"a": "&a [x]", "b": "*a"}),
    ],
)
def test_text_stays_as_written(tmp_path: Path, source: str, body: str, meta: dict[str, str]) -> None:
    for form in (source.encode(), gzip.compress(source.encode())):
        (tmp_path / "a.md").write_bytes(form)
        (found,) = read_records(tmp_path / "a.md", "a.md", MARKDOWN)
        assert isinstance(found, Record)
        assert (found.body, found.meta, found.locator) == (body, meta, "a.md#0")


def test_front_matter_of_blanks_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(f"---\na: b{' ' * 60_000}c\nd: {' ' * 900}e\n---\ntext")
    started = time.process_time()
    (found,) = read_records(tmp_path / "a.md", "a.md", ReaderConfig(format="markdown"))
    assert isinstance(found, Record)
    assert (found.body, found.meta) == ("text", {"d": "e"})
    assert time.process_time() - started < 2


def test_binary_and_large_files_are_drops(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"a\0b")
    (found,) = read_records(tmp_path / "a.md", "x", MARKDOWN)
    assert isinstance(found, Drop)
    assert found.reason == "binary_file"
