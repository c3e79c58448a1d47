"""CSV and TSV: the rows that Python's own reader has, and every row that is none counted."""

import csv
import gzip
import io
import re
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers.csv_rows import read_records
from pipelines.corpus.acquisition.records import Drop, Record

CSV = ReaderConfig(format="csv", url_field="url", meta_fields=("n",))


def read(path: Path, data: bytes, config: ReaderConfig = CSV) -> list[Record | Drop]:
    path.write_bytes(data)
    return list(read_records(path, "x", config))


def told(items: list[Record | Drop]) -> list[object]:
    return [item.body if isinstance(item, Record) else item.reason for item in items]


columns = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=12)


@given(st.lists(st.lists(columns, min_size=3, max_size=3), max_size=8), st.sampled_from([",", ";", "\t"]))
@settings(max_examples=150, deadline=None)
def test_rows_are_those_of_pythons_reader(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str
) -> None:
    """Written with quotes only where they are needed, and read back by both."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([["text", "url", "n"], *rows])
    theirs = list(csv.reader(io.StringIO(out.getvalue(), newline=""), delimiter=delimiter))[1:]
    config = CSV.model_copy(update={"delimiter": delimiter})
    ours = read(tmp_path_factory.mktemp("csv") / "a.csv", out.getvalue().encode(), config)
    expected = [row for row in theirs if row]
    assert [item.body for item in ours if isinstance(item, Record)] == [row[0] for row in expected]
    assert [item.meta.get("n") for item in ours if isinstance(item, Record)] == [row[2] for row in expected]
    assert [item.locator for item in ours] == [f"x#{number}" for number in range(len(expected))]


def test_compressed_files_quoted_line_ends_and_a_bom(tmp_path: Path) -> None:
    data = '\ufefftext,url,n\n"one, ""two""\nthree",http://a/,1\nplain,,2\n'.encode()
    for form in (data, gzip.compress(data), zstandard.compress(data)):
        (first, second) = read(tmp_path / "a", form)
        assert isinstance(first, Record)
        assert isinstance(second, Record)
        assert (first.body, first.url, first.meta) == ('one, "two"\nthree', "http://a/", {"n": "1"})
        assert (second.body, second.url, second.locator) == ("plain", None, "x#1")


def test_a_row_with_another_number_of_columns_is_one_drop_with_its_line(tmp_path: Path) -> None:
    items = read(tmp_path / "a", b'text,url,n\nA,u,1\n"two\nlines",u\nB,u,2,extra\n\nC,u,3\n')
    assert told(items) == ["A", "wrong_columns", "wrong_columns", "C"]
    assert [item.detail for item in items if isinstance(item, Drop)] == [
        "line 3 to 4: 2 columns, the header has 3",
        "line 5: 4 columns, the header has 3",
    ]


def test_a_quote_that_never_ends_costs_its_own_line(tmp_path: Path) -> None:
    rows = [b"text,url,n", *(b"row %d,u,%d" % (number, number) for number in range(50))]
    rows[20] = b'"torn,u,19'
    rows[30] = b'say "hi",u,29'
    items = read(tmp_path / "a", b"\n".join(rows))
    assert len(items) == 50
    assert [(item.locator, item.reason) for item in items if isinstance(item, Drop)] == [("x#19", "unclosed_quote")]
    assert items[29].body == 'say "hi"'  # type: ignore[union-attr]


def test_hostile_quotes_are_bounded_and_counted(tmp_path: Path) -> None:
    """Every line opens a quote: lines are read again sixteen times, then go together; none is without a drop."""
    config = CSV.model_copy(update={"max_record_bytes": 1024, "max_line_bytes": 4096})
    items = read(tmp_path / "a", b"text,url,n\n" + b'"x,\n' * 5000, config)
    lost = [item for item in items if isinstance(item, Drop)]
    assert {item.reason for item in lost} == {"unclosed_quote"}
    assert len(lost) == len(items)
    lines = [re.search(r"; (\d+) lines are not read", item.detail) for item in lost]
    assert sum(int(match.group(1)) if match else 1 for match in lines) == 5000


def test_tabs_without_quotes_and_columns_without_a_header(tmp_path: Path) -> None:
    config = ReaderConfig(format="tsv", columns=("id", "text"), quoting="none", id_field="id", records="1:3")
    items = read(tmp_path / "a", b'0\tzero\n1\t"one\n2\ttwo"\n3\tthree\n', config)
    assert told(items) == ['"one', 'two"']
    assert [item.meta for item in items if isinstance(item, Record)] == [{"record_id": "1"}, {"record_id": "2"}]


def test_encodings_are_declared_found_by_a_bom_or_left_to_extraction(tmp_path: Path) -> None:
    text = "text,url,n\nпривет мир,u,1\n"
    declared = ReaderConfig(format="csv", encoding="koi8-r")
    assert told(read(tmp_path / "a", text.encode("koi8-r"), declared)) == ["привет мир"]
    assert told(read(tmp_path / "a", text.encode("utf-16"))) == ["привет мир"]
    (item,) = read(tmp_path / "a", text.encode("koi8-r"))
    assert isinstance(item, Record)
    assert item.body == "привет мир".encode("koi8-r")


@pytest.mark.parametrize("head", [b"text,text\nA,B\n", b",\nA,B\n", b'"text\nA,B\n'])
def test_a_file_without_a_header_is_one_drop(tmp_path: Path, head: bytes) -> None:
    (item,) = read(tmp_path / "a", head, ReaderConfig(format="csv"))[:1]
    assert isinstance(item, Drop)
    assert item.locator == "x#header"
    assert "the file is not read" in item.detail


def test_a_torn_file_keeps_what_came_before(tmp_path: Path) -> None:
    data = gzip.compress(b"text,url,n\n" + b"".join(b"row %d,u,1\n" % number for number in range(20000)))
    items = read(tmp_path / "a", data[: len(data) // 2])
    assert len(items) > 1000
    assert {item.reason for item in items if isinstance(item, Drop)} <= {"torn_record", "truncated_gzip"}
    assert "truncated_gzip" in told(items)


def test_carriage_returns_alone_end_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,url\rfirst,http://a/\rsecond,http://b/\r")
    found = list(read_records(path, "x", ReaderConfig(format="csv", url_field="url")))
    assert [(item.locator, item.body, item.url) for item in found if isinstance(item, Record)] == [
        ("x#0", "first", "http://a/"),
        ("x#1", "second", "http://b/"),
    ]
