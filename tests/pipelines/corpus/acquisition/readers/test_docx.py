"""DOCX: what a reader of the page sees, and drops for what cannot be opened."""

import time
from pathlib import Path

import pytest

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Drop, Record
from tests.pipelines.corpus.acquisition.packed import WORD, docx_members, paragraph, zipped

DOCX = ReaderConfig(format="docx")
ITEM = '<w:pPr><w:numPr><w:ilvl w:val="0"/></w:numPr></w:pPr>'
BODY = (
    paragraph("Title & <more>")
    + "<w:p><w:r><w:t>split </w:t></w:r><w:r><w:tab/><w:t>run</w:t><w:br/><w:t>broken</w:t></w:r></w:p>"
    + "<w:p><w:pPr><w:tabs><w:tab w:val='left'/></w:tabs></w:pPr><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
    + "<w:ins><w:r><w:t>added</w:t></w:r></w:ins><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
    + paragraph("first", ITEM)
    + paragraph("second", ITEM)
    + f"<w:tbl><w:tr><w:tc>{paragraph('a')}{paragraph('b')}</w:tc><w:tc>{paragraph('c')}</w:tc></w:tr></w:tbl>"
)
NOTES = (
    f'<w:footnotes xmlns:w="{WORD}"><w:footnote w:type="separator">{paragraph("line")}</w:footnote>'
    f"<w:footnote>{paragraph('a note')}</w:footnote></w:footnotes>"
)
CORE = (
    '<p:coreProperties xmlns:p="p" xmlns:dc="d" xmlns:dcterms="t"><dc:title>On tests</dc:title>'
    "<dc:creator>A</dc:creator><dcterms:created>2021-02-03T04:05:06Z</dcterms:created></p:coreProperties>"
)


def read(path: Path, config: ReaderConfig = DOCX) -> list[Record | Drop]:
    return list(read_records(path, "x", config))


def test_a_document_is_its_visible_text(tmp_path: Path) -> None:
    members = docx_members(BODY, word__footnotes=NOTES, docProps__core=CORE)
    (found,) = read(zipped(tmp_path / "d", members))
    assert isinstance(found, Record)
    assert found.body == ("Title & <more>\n\nsplit \trun\nbroken\n\nadded\n- first\n- second\n\na b | c\n\na note")
    assert found.meta == {"title": "On tests", "creator": "A"}
    assert found.fetched_at is not None
    assert found.fetched_at.year == 2021


def test_a_cell_of_many_paragraphs_costs_linear_time(tmp_path: Path) -> None:
    cell = f"<w:tbl><w:tr><w:tc>{paragraph('ab') * 200_000}</w:tc><w:tc>{paragraph('c')}</w:tc></w:tr></w:tbl>"
    started = time.process_time()
    (found,) = read(zipped(tmp_path / "d", docx_members(cell)), ReaderConfig(format="docx", max_expansion=10_000))
    assert isinstance(found, Record)
    assert found.body == " ".join(["ab"] * 200_000) + " | c"
    assert time.process_time() - started < 8


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"a": "b"}, "missing_member"),
        (docx_members(""), "no_text"),
        ({**docx_members(""), "word/document.xml": "<w:p"}, "bad_xml"),
        ({**docx_members(""), "word/document.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}, "bad_xml"),
        ({**docx_members(""), "word/document.xml": "<a>" * 2000}, "bad_xml"),
        (docx_members(paragraph("x" * 5000)), "record_too_large"),
    ],
)
def test_what_is_none_says_why(tmp_path: Path, members: dict[str, str | bytes], reason: str) -> None:
    config = DOCX.model_copy(update={"max_record_bytes": 4096})
    (found,) = read(zipped(tmp_path / "d", members), config)
    assert isinstance(found, Drop)
    assert found.reason == reason


def test_a_bomb_of_spaces_costs_its_limit(tmp_path: Path) -> None:
    config = DOCX.model_copy(update={"max_expansion": 2})
    (found,) = read(zipped(tmp_path / "d", docx_members(" " * 30_000_000)), config)
    assert isinstance(found, Drop)
    assert found.reason == "expansion_limit"


def test_old_files_broken_files_and_damage_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    assert [item.reason for item in read(path) if isinstance(item, Drop)] == ["not_a_zip"]
    data = zipped(path, docx_members(BODY)).read_bytes()
    for place in range(0, len(data), max(1, len(data) // 100)):
        path.write_bytes(data[:place] + b"\x00\xff" + data[place + 2 :])
        assert len(read(path)) == 1, place
