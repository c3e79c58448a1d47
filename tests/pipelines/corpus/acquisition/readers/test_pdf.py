"""PDF: the text of real layouts, and drops for what is broken, locked or scanned."""

import time
from pathlib import Path

import pytest

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.guarded.child import Limits, run_guarded
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.readers.pdf import pages_text
from pipelines.corpus.acquisition.records import Drop, Record
from tests.pipelines.corpus.acquisition.packed import pdf_bytes

PDF = ReaderConfig(format="pdf")


def read(path: Path, data: bytes, config: ReaderConfig = PDF) -> list[Record | Drop]:
    path.write_bytes(data)
    return list(read_records(path, "x", config))


def test_pages_become_paragraphs_with_title_and_date(tmp_path: Path) -> None:
    first = ["A heading", "The first line of this paragraph is as long as the page is wide,", "and here it ends."]
    info = "/Title (On tests) /CreationDate (D:20240101)"
    (found,) = read(tmp_path / "a", pdf_bytes([first, ["The second page."]], info))
    assert isinstance(found, Record)
    assert found.body == (
        "A heading\nThe first line of this paragraph is as long as the page is wide, and here it ends."
        "\n\nThe second page."
    )
    assert found.meta == {"title": "On tests", "creationdate": "D:20240101", "pages": 2}


def test_running_titles_and_page_numbers_go() -> None:
    pages = [f"The Title\r\nWords that only page {'abcdef'[n]} has, and more.\r\nChapter 1 - {n}" for n in range(6)]
    text = pages_text(pages)
    assert "The Title" not in text
    assert "Chapter" not in text
    assert text.count("Words that only page") == 6


@pytest.mark.parametrize("count", [2, 3])
def test_running_lines_of_few_pages_go_where_all_have_them(count: int) -> None:
    body = "Words that only page {0} has\r\nand a second line\r\nand {0} third\r\nand a fourth"
    pages = [f"The Title\r\n{body.format('xyz'[n])} {n}\r\nPage {n + 3} of {count + 2}" for n in range(count)]
    text = pages_text(pages)
    assert "The Title" not in text and "Page" not in text
    assert text.count("Words that only page") == count and text.count("and a second line") == count
    # The same words with numbers that do not count are a table, and what one page alone has stays.
    rows = pages_text([f"Total {number}\r\na\r\nb\r\nc\r\nd {number}" for number in (7, 9, 30)[:count]])
    assert rows.count("Total") == count and rows.count("d ") == count
    assert pages_text(["One\r\ntwo\r\nthree\r\nfour\r\nfive"]).startswith("One")
    assert pages_text(["Same\r\nshort", "Same\r\nshort"]).count("Same") == 2  # all edge and no middle


def test_lines_are_joined_as_their_script_and_hyphens_ask() -> None:
    assert pages_text(["这是一行写满了整个页面的中文文字内容，\r\n接着写下去。\r\n"]) == (
        "这是一行写满了整个页面的中文文字内容，接着写下去。"
    )
    assert pages_text(["A line that fills the page with a para\x02\r\ngraph in it."]).endswith("paragraph in it.")
    assert pages_text(["A line that fills the whole page with words\r\n1. an item\r\n2. another"]).count("\n") == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no pdf at all", "not_a_pdf"),
        (b"%PDF-1.4\n" + b"garbage " * 500, "unreadable_file"),
        (pdf_bytes([[], []]), "no_text"),
    ],
)
def test_what_is_none_says_why(tmp_path: Path, data: bytes, reason: str) -> None:
    (found,) = read(tmp_path / "a", data)
    assert isinstance(found, Drop)
    assert found.reason == reason


def test_a_paragraph_of_many_lines_costs_linear_time() -> None:
    started = time.process_time()
    assert pages_text(["ab\r\n" * 300_000]) == " ".join(["ab"] * 300_000)
    assert pages_text(["中文\r\n" * 300_000]) == "中文" * 300_000
    assert time.process_time() - started < 8


def test_too_much_text_is_a_drop(tmp_path: Path) -> None:
    config = PDF.model_copy(update={"max_record_bytes": 2048})
    (found,) = read(tmp_path / "a", pdf_bytes([["words and words " * 5] * 40]), config)
    assert isinstance(found, Drop)
    assert found.reason == "record_too_large"


@pytest.mark.slow
def test_damage_anywhere_is_counted(tmp_path: Path) -> None:
    data = pdf_bytes([["Some words on a page."], ["More of them."]])
    for place in range(0, len(data), max(1, len(data) // 25)):
        assert read(tmp_path / "a", data[:place] + b"\xff\x00\xff" + data[place + 3 :]), place


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(Limits(60, 20 << 20, 0), "unreadable_file"), (Limits(60, 4 << 30, 0), "")],
)
def test_a_process_that_needs_more_than_it_may_have_ends_alone(tmp_path: Path, limits: Limits, reason: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(pdf_bytes([["words"]]))
    answer = run_guarded("pipelines.corpus.acquisition.guarded.pdf_text", [str(path), "1000"], limits)
    assert answer.reason in ({reason, "memory_limit"} if reason else {""})
