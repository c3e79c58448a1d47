"""Units to parts: conservation, order, boundaries, and the same rows whatever cut the input."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.documents import DOCUMENT_SCHEMA, batch_prefix, document_id, text_hash
from pipelines.core.fingerprint import rows_digest
from pipelines.core.parts import PartResult
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.inventory import file_path, take_inventory
from pipelines.corpus.acquisition.records import Drop, Record
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.extraction.extract import (
    DROP_SCHEMA,
    POSITION_SCHEMA,
    ROW_BYTES,
    DocumentContext,
    UnitFile,
    extract_records,
    extract_unit,
)
from pipelines.corpus.extraction.units import plan_units
from pipelines.corpus.normalization.config import DEFAULT_OPERATIONS, ChineseScript, WhiteSpace
from tests.pipelines.corpus.acquisition.archives import warc_record
from tests.shared_data import shared

KEY = "web.first"
CONTEXT = DocumentContext("web", "first", "news", "en")
CONFIG = ExtractionConfig()


def record(number: int, body: bytes | str = "text", **fields: object) -> Record:
    base = Record(f"f#{number}", None, body, None, None, None, {}, "text")
    return base._replace(**fields)  # type: ignore[arg-type]


def conserved(parts: list[PartResult]) -> tuple[int, int]:
    """(records, kept) of all parts, after checking each part's law and its tables."""
    records = kept = 0
    for part in parts:
        dropped = sum(count for name, count in part.counts.items() if name.startswith("dropped/"))
        assert part.counts["records"] == part.counts["kept"] + dropped
        assert part.counts["kept"] == len(part.tables["documents"]) == len(part.tables["positions"])
        assert dropped == len(part.tables["drops"])
        assert part.tables["documents"].schema == DOCUMENT_SCHEMA
        assert part.tables["positions"].schema == POSITION_SCHEMA
        assert part.tables["drops"].schema == DROP_SCHEMA
        ids = part.tables["documents"]["id"].to_pylist()
        assert ids == sorted(set(ids)) == part.tables["positions"]["id"].to_pylist()
        records, kept = records + part.counts["records"], kept + part.counts["kept"]
    return records, kept


def test_a_record_becomes_a_document() -> None:
    body = "<html lang=de><title>T</title><body><p>Grüße\r\nan alle</p></body></html>".encode("iso-8859-1")
    when = datetime(2024, 5, 18, 1, 58, 10, tzinfo=UTC)
    item = record(3, body, kind="html", url="http://a.example/x", charset="iso-8859-1", fetched_at=when)
    (part,) = extract_records([item], KEY, CONTEXT._replace(language=None), CONFIG)
    (row,) = part.tables["documents"].to_pylist()
    assert row["id"] == document_id(KEY, "f#3")
    assert row["id"].startswith(batch_prefix(KEY))
    assert row["text"] == "Grüße an alle"
    assert row["text_hash"] == text_hash(row["text"])
    assert (row["source"], row["batch"], row["domain"], row["language"]) == ("web", "first", "news", "de")
    assert (row["url"], row["fetched_at"], row["locator"]) == ("http://a.example/x", when, "f#3")
    assert row["url_hash"] is not None
    assert json.loads(row["meta"]) == {"title": "T"}
    assert part.counts["encoding/cp1252"] == 1


def test_what_is_dropped_says_why_and_keeps_its_place() -> None:
    small = ExtractionConfig(max_text_bytes=2000)
    items = [
        Drop("f#0", "http_status", "404"),
        record(1, "kept"),
        record(2, " \n\x00 "),
        record(3, "é" * 1500),
        record(4, "<div>" * 3000, kind="html"),
        record(1, "again"),
        record(6, "日本語テキスト漢字".encode() + b"\xff\xff"),
    ]
    (part,) = extract_records(items, KEY, CONTEXT, small)
    assert conserved([part]) == (7, 2)
    assert part.tables["drops"].to_pylist()[0] == {
        "position": 0,
        "locator": "f#0",
        "reason": "http_status",
        "detail": "404",
    }
    assert part.tables["drops"]["reason"].to_pylist() == [
        "http_status",
        "empty_text",
        "record_too_large",
        "html_too_deep",
        "duplicate_locator",
    ]
    by_locator = {row["locator"]: row for row in part.tables["documents"].to_pylist()}
    assert by_locator["f#1"]["text"] == "kept"
    assert json.loads(by_locator["f#6"]["meta"]) == {"replaced_characters": 2}
    assert part.counts["replaced_characters"] == 2


def test_positions_are_the_order_of_the_input() -> None:
    items: list[Record | Drop] = [record(number, f"text {number}") for number in range(300)]
    items[7] = Drop("f#7", "bad_json", "x")
    (part,) = extract_records(items, KEY, CONTEXT, CONFIG)
    locator = {row["id"]: row["locator"] for row in part.tables["documents"].to_pylist()}
    for row in part.tables["positions"].to_pylist():
        assert locator[row["id"]] == f"f#{row['position']}"


@given(st.lists(st.integers(0, 3000), max_size=40), st.integers(1024, 8192))
@settings(max_examples=80, deadline=None)
def test_parts_are_runs_of_records_up_to_their_size(sizes: list[int], part_bytes: int) -> None:
    config = ExtractionConfig(part_bytes=part_bytes)
    items = [record(number, "x" * size) for number, size in enumerate(sizes)]
    parts = list(extract_records(items, KEY, CONTEXT, config))
    assert conserved(parts) == (len(sizes), sum(size > 0 for size in sizes))
    weights = [ROW_BYTES + size for size in sizes]
    at = 0
    for index, part in enumerate(parts):
        places = sorted(part.tables["positions"]["position"].to_pylist() + part.tables["drops"]["position"].to_pylist())
        assert places == list(range(at, at + len(places)))
        weight = sum(weights[at : at + len(places)])
        assert weight <= part_bytes or len(places) == 1
        at += len(places)
        if index + 1 < len(parts):
            assert weight + weights[at] > part_bytes
    whole = list(extract_records(items, KEY, CONTEXT, CONFIG))
    merged = [part.tables["documents"] for part in parts]
    if whole:
        assert rows_digest(pa.concat_tables(merged).sort_by("id")) == rows_digest(whole[0].tables["documents"])
        totals: dict[str, int] = {}
        for part in parts:
            for name, count in part.counts.items():
                totals[name] = totals.get(name, 0) + count
        assert totals == whole[0].counts


def test_parts_are_made_one_at_a_time() -> None:
    read = 0

    def endless() -> Iterator[Record]:
        nonlocal read
        while True:
            read += 1
            yield record(read, "x" * 1000)

    parts = extract_records(endless(), KEY, CONTEXT, ExtractionConfig(part_bytes=10_000))
    next(parts)
    assert read < 20


def test_units_pack_small_files_and_leave_large_ones_alone() -> None:
    table = pa.table({"path": list("abcdefg"), "bytes": [400, 500, 200, 5000, 100, 900, 25]})
    units = plan_units(table, ExtractionConfig(part_bytes=1024))
    assert [(unit.files, unit.bytes) for unit in units] == [
        (("a", "b"), 900),
        (("c",), 200),
        (("d",), 5000),
        (("e", "f"), 1000),
        (("g",), 25),
    ]
    assert [unit.number for unit in units] == list(range(5))
    assert plan_units(table.slice(0, 0), CONFIG) == []


def test_a_folder_from_inventory_to_parts(tmp_path: Path) -> None:
    for number in range(30):
        path = tmp_path / "data" / f"{number:02}" / "new\nline.py"
        path.parent.mkdir(parents=True)
        path.write_text(f"print({number})\n" * (number + 1))
    (tmp_path / "data" / "bad.py").write_bytes(b"\0\1\2")
    root = tmp_path / "data"
    inventory = take_inventory(root, ["**/*.py"])
    config = ExtractionConfig(part_bytes=1024)
    reader = ReaderConfig(format="folder")
    parts = []
    for unit in plan_units(inventory.files, config):
        files = [UnitFile(file_path(root, name), name) for name in unit.files]
        parts += list(extract_unit(files, KEY, CONTEXT, reader, config))
    assert conserved(parts) == (31, 30)
    locators = [row for part in parts for row in part.tables["documents"]["locator"].to_pylist()]
    assert "00/new%0Aline.py#0" in locators
    again = [
        part
        for unit in plan_units(inventory.files, config)
        for part in extract_unit(
            [UnitFile(file_path(root, name), name) for name in unit.files], KEY, CONTEXT, reader, config
        )
    ]
    assert [rows_digest(part.tables["documents"]) for part in again] == [
        rows_digest(part.tables["documents"]) for part in parts
    ]


def test_a_real_archive_is_conserved() -> None:
    path = shared("warc/pywb/iana.warc.gz")
    parts = list(extract_unit([UnitFile(path, "iana")], KEY, CONTEXT, ReaderConfig(format="warc"), CONFIG))
    records, kept = conserved(parts)
    assert (records, kept) == (343, 16)


def test_a_page_nested_deeply_does_not_stop_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    bodies = [b"<p>one</p>", b"<div>" * 100_000, b"<p>\xff\xfe\xfd three</p>"]
    path.write_bytes(b"".join(gzip.compress(warc_record(body)) for body in bodies))
    (part,) = extract_unit([UnitFile(path, "a")], KEY, CONTEXT, ReaderConfig(format="warc"), CONFIG)
    assert conserved([part]) == (3, 2)
    assert part.counts["dropped/html_too_deep"] == 1


@given(
    st.lists(st.dictionaries(st.sampled_from(["text", "url", "lang", "tag"]), st.text() | st.integers() | st.none()))
)
@settings(max_examples=60, deadline=None)
def test_any_rows_are_conserved(rows: list[dict[str, object]]) -> None:
    items: list[Record | Drop] = []
    for number, row in enumerate(rows):
        text = row.get("text")
        if isinstance(text, str):
            url, lang = row.get("url"), row.get("lang")
            items.append(
                record(
                    number,
                    text + "\ud800",
                    url=url if isinstance(url, str) else None,
                    language=lang if isinstance(lang, str) else None,
                    meta={"tag": row.get("tag"), "n": float("nan"), "s": "\ud800"},
                )
            )
        else:
            items.append(Drop(f"f#{number}", "no_text", "x"))
    records, _ = conserved(list(extract_records(items, KEY, CONTEXT, CONFIG)))
    assert records == len(rows)


def test_the_declared_operations_are_applied_and_counted_by_document() -> None:
    operations = (ChineseScript(), *DEFAULT_OPERATIONS, WhiteSpace())
    context = CONTEXT._replace(language="zh", normalization=operations)
    bodies = ["頭髮 \r\n", "plain", "Japanese 頭髮"]
    records = [record(n, body, language="ja" if body[0] == "J" else None) for n, body in enumerate(bodies)]
    (part,) = extract_records(records, KEY, context, CONFIG)
    documents = part.tables["documents"].sort_by("locator")
    assert documents["text"].to_pylist() == ["头发\n", "plain", "Japanese 頭髮"]
    assert {name: count for name, count in part.counts.items() if name.startswith("normalized/")} == {
        "normalized/chinese_script/documents": 1,
        "normalized/chinese_script/added": 2,
        "normalized/chinese_script/removed": 2,
        "normalized/line_ends/documents": 1,
        "normalized/line_ends/removed": 1,
        "normalized/white_space/documents": 1,
        "normalized/white_space/removed": 1,
    }
    assert [text_hash(text) for text in documents["text"].to_pylist()] == documents["text_hash"].to_pylist()
