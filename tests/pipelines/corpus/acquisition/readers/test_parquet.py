"""Parquet and folders of files: rows and files as records, broken and hostile ones as drops."""

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Drop, Record

CONFIG = ReaderConfig(format="parquet", url_field="url", date_field="date", meta_fields=("tags",))


def rows(count: int) -> pa.Table:
    return pa.table(
        {
            "text": [None if number % 10 == 9 else f"text {number}" for number in range(count)],
            "url": [f"http://a/{number}" for number in range(count)],
            "date": [datetime(2024, 1, 1, tzinfo=UTC)] * count,
            "tags": [["a", "b"]] * count,
            "unused": [b"x" * 100] * count,
        }
    )


def read(path: Path, config: ReaderConfig = CONFIG) -> list[Record | Drop]:
    return list(read_records(path, "x", config))


def reasons(items: list[Record | Drop]) -> list[str]:
    return ["kept" if isinstance(item, Record) else item.reason for item in items]


def test_rows_of_all_groups_become_records(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(rows(1000), path, row_group_size=300)
    items = read(path)
    assert len(items) == 1000
    assert reasons(items).count("no_text") == 100
    record = items[700]
    assert isinstance(record, Record)
    assert (record.locator, record.body, record.url) == ("x#700", "text 700", "http://a/700")
    assert record.fetched_at == datetime(2024, 1, 1, tzinfo=UTC)
    assert record.meta == {"tags": '["a", "b"]'}
    sliced = read(path, CONFIG.model_copy(update={"records": "298:302"}))
    assert [item.locator for item in sliced] == ["x#298", "x#299", "x#300", "x#301"]


def test_a_broken_row_group_costs_its_own_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(rows(900), path, row_group_size=300, compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(bytes(data))
    items = read(path)
    assert reasons(items).count("unreadable_row_group") == 1
    assert len(items) == 601
    (broken,) = [item for item in items if isinstance(item, Drop) and item.reason == "unreadable_row_group"]
    assert broken.locator == "x#300"
    assert "300 of 300 rows" in broken.detail


def test_files_that_are_no_parquet_or_lack_the_column(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"")
    assert reasons(read(path)) == ["empty_record"]
    for data in (b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"x" * 1000):
        path.write_bytes(data)
        assert reasons(read(path)) == ["unreadable_file"]
    pq.write_table(pa.table({"content": ["a"]}), path)
    (drop,) = read(path)
    assert drop.detail == "no column 'text'; the columns are: content"  # type: ignore[union-attr]


def test_a_value_named_a_million_times_is_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 300_000, pa.int32()), pa.array(["x" * 10_000]))
    pq.write_table(pa.table({"text": column}), path)
    assert path.stat().st_size < 20_000
    items = read(path)
    assert reasons(items)[-1] == "expansion_limit"
    assert sum(isinstance(item, Record) for item in items) * 10_000 <= (16 << 20) + 200 * path.stat().st_size


def test_a_folder_gives_one_record_a_file(tmp_path: Path) -> None:
    config = ReaderConfig(format="folder", html_suffixes=(".html",), max_record_bytes=2048, max_line_bytes=4096)
    files = {
        "a.py": (b"print('x')\n", "text"),
        "b.HTML": (b"<p>x", "html"),
        "c.bin": (b"ab\0cd", "binary_file"),
        "d.txt": (b"", "empty_record"),
        "e.txt": (b"x" * 3000, "record_too_large"),
        "f.txt": ("héllo".encode("utf-16"), "text"),
    }
    for name, (data, expected) in files.items():
        path = tmp_path / name
        path.write_bytes(data)
        (item,) = list(read_records(path, name, config))
        assert item.locator == f"{name}#0"
        assert (item.kind if isinstance(item, Record) else item.reason) == expected
    (missing,) = list(read_records(tmp_path / "none", "none", config))
    assert (missing.reason, missing.locator) == ("unreadable_file", "none#0")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array(["a"], pa.string_view()), ["a"]),
        (pa.array([b"caf\xe9"], pa.binary()), [b"caf\xe9"]),
        (pa.array([b"abc"], pa.binary(3)), [b"abc"]),
        (pa.array([["a", "b"]]), ["no_text"]),
        (pa.array([{"inner": "a"}]), ["no_text"]),
        (pa.array([None, "b"], pa.string()), ["no_text", "b"]),
        (pa.nulls(2), ["no_text", "no_text"]),
        (pa.array([1]), ["no_text"]),
        # Latin-1 under the name of UTF-8, as careless writers leave it: one row's bytes, not the group's end.
        (
            pa.Array.from_buffers(
                pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xe9")]
            ),
            ["a", b"\xe9"],
        ),
    ],
)
def test_texts_of_any_type(tmp_path: Path, column: pa.Array, expected: list[Any]) -> None:
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    items = list(read_records(tmp_path / "a.parquet", "x", ReaderConfig(format="parquet")))
    assert [item.body if isinstance(item, Record) else item.reason for item in items] == expected


def test_odd_metadata_costs_its_row_at_most(tmp_path: Path) -> None:
    columns = {
        "text": ["a", "b"],
        "map": pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())),
        "long": pa.array([2**62, 1], pa.duration("ns")),
        "clock": pa.array([1, 2], pa.time64("ns")),
        "nested": pa.array([{"list": [{"deep": 1}]}, None]),
        "hard": pa.array([{"x": 1}, {"x": 1000}], pa.struct([("x", pa.time64("ns"))])),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    every = ReaderConfig(format="parquet", meta_fields=("map", "long", "clock", "nested"))
    items = list(read_records(tmp_path / "a.parquet", "x", every))
    assert [item.meta["map"] for item in items if isinstance(item, Record) and "map" in item.meta] == ['[["k", "v"]]']
    assert [item.body for item in items if isinstance(item, Record)] == ["a", "b"]
    items = list(read_records(tmp_path / "a.parquet", "x", ReaderConfig(format="parquet", meta_fields=("hard",))))
    assert [item.body if isinstance(item, Record) else item.reason for item in items] == ["unreadable_row", "b"]


def test_no_damage_passes_uncounted(tmp_path: Path) -> None:
    """Every cut, and random bytes anywhere: rows or drops, never nothing, never an exception."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [f"row {number} " * 9 for number in range(600)]}), sink, row_group_size=200)
    whole = sink.getvalue().to_pybytes()
    seeded = random.Random(5)
    for trial in range(300):
        data = bytearray(whole)
        if trial % 10 == 0:
            del data[seeded.randrange(len(data)) :]
        for _ in range(seeded.choice((1, 4))):
            if data:
                data[seeded.randrange(len(data) * (trial % 2) // 2, len(data))] = seeded.randrange(256)
        (tmp_path / "a").write_bytes(data)
        items = list(read_records(tmp_path / "a", "x", ReaderConfig(format="parquet")))
        kept = sum(isinstance(item, Record) for item in items)
        assert kept == 600 or kept < len(items), (trial, kept)
    empty = pa.table({"text": pa.array([], pa.string())})
    pq.write_table(empty, tmp_path / "a")
    assert [item.reason for item in read_records(tmp_path / "a", "x", ReaderConfig(format="parquet"))] == [
        "empty_record"
    ]  # type: ignore[union-attr]
