"""EPUB: a book in its spine's order; broken and hostile ones are counted drops."""

from pathlib import Path

import pytest

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Drop, Record
from tests.pipelines.corpus.acquisition.packed import epub_members, xhtml, zipped

EPUB = ReaderConfig(format="epub")
METADATA = (
    "<dc:title>The Book</dc:title><dc:creator>A</dc:creator><dc:creator>B</dc:creator>"
    "<dc:language>en</dc:language><dc:rights>CC0-1.0</dc:rights><dc:date>2020-05-01</dc:date>"
)
LONG = "It was a long paragraph with quite a few words in it, as books have them. " * 5


def read(path: Path, config: ReaderConfig = EPUB) -> list[Record | Drop]:
    return list(read_records(path, "x", config))


def test_a_book_is_one_document_in_the_order_of_its_spine(tmp_path: Path) -> None:
    chapters = {
        "two.xhtml": xhtml(f"<h1>Two</h1><p>Second. {LONG}</p>"),
        "text/one%20a.xhtml": xhtml("never read under this name"),
        "one.xhtml": xhtml(f"<h1>One</h1><p>First &amp; “early”. {LONG}</p><ul><li>kept</li></ul>"),
    }
    path = zipped(tmp_path / "b", epub_members(chapters, METADATA, ["one.xhtml", "two.xhtml", "one.xhtml"]))
    (book,) = read(path)
    assert isinstance(book, Record)
    text = str(book.body)
    assert text.index("One") < text.index("First & “early”.") < text.index("kept") < text.index("Two")
    assert text.count("First & “early”.") == 1
    assert "Contents" not in text
    assert book.meta["title"] == "The Book"
    assert book.meta["creator"] == "A; B"
    assert (book.language, book.meta["rights"], book.locator) == ("en", "CC0-1.0", "x#0")
    assert book.fetched_at is not None


def test_a_missing_or_hostile_chapter_is_a_drop_and_the_book_says_so(tmp_path: Path) -> None:
    members = epub_members({"a.xhtml": xhtml(f"<p>{LONG}</p>"), "b.xhtml": "", "c.xhtml": "<div>" * 100_000})
    del members["OEBPS/b.xhtml"]
    found = read(zipped(tmp_path / "b", members))
    assert [item.reason for item in found[:2] if isinstance(item, Drop)] == ["unreadable_chapter"] * 2
    assert [item.locator for item in found] == ["x#chapter-2", "x#chapter-3", "x#0"]
    assert isinstance(found[2], Record)
    assert found[2].meta["missing_chapters"] == 2


def test_a_bomb_costs_its_limit(tmp_path: Path) -> None:
    config = EPUB.model_copy(update={"max_expansion": 2})
    members = epub_members({f"{n}.xhtml": b"<p>" + b"a " * 12_000_000 for n in range(3)})
    (drop,) = read(zipped(tmp_path / "b", members), config)
    assert isinstance(drop, Drop)
    assert drop.reason in ("expansion_limit", "record_too_large")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"META-INF/container.xml": "<container/>"}, "missing_member"),
        ({"META-INF/container.xml": "<container"}, "bad_xml"),
        ({"OEBPS/book.opf": "<package><spine/></package>"}, "no_text"),
        ({"OEBPS/book.opf": '<!DOCTYPE p [<!ENTITY a "b">]><package>&a;</package>'}, "bad_xml"),
        ({"OEBPS/book.opf": "<a>" * 1000}, "bad_xml"),
        ({"OEBPS/a.xhtml": xhtml("")}, "no_text"),
    ],
)
def test_a_book_that_is_none_says_why(tmp_path: Path, change: dict[str, str], reason: str) -> None:
    members = {**epub_members({"a.xhtml": xhtml("words")}), **change}
    found = read(zipped(tmp_path / "b", members))[-1]
    assert isinstance(found, Drop)
    assert found.reason == reason


def test_damage_anywhere_is_counted_and_never_raises(tmp_path: Path) -> None:
    data = zipped(tmp_path / "b", epub_members({"a.xhtml": xhtml(f"<p>{LONG}</p>")})).read_bytes()
    for place in range(0, len(data), max(1, len(data) // 150)):
        path = tmp_path / "c"
        path.write_bytes(data[:place] + b"\xff\x00\xff" + data[place + 3 :])
        assert read(path), place
    path.write_bytes(data[: len(data) // 2])
    assert [item.reason for item in read(path) if isinstance(item, Drop)] == ["not_a_zip"]
