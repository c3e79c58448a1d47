"""Digests against a slow pure-Python one, under every way of storing the same rows and every way of changing them."""

import hashlib
import io
import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.documents import DOCUMENT_SCHEMA
from pipelines.core.fingerprint import (
    Algorithm,
    action_digest,
    content_digest,
    digest_bytes,
    digest_file,
    digest_json,
    rows_digest,
)

# The oracle: the documented format, written with struct.pack over Python values ------------------------------------


def prefixed(name: str) -> bytes:
    return struct.pack("<I", len(name.encode())) + name.encode()


def oracle(table: pa.Table) -> str:
    stream = struct.pack("<Q", table.num_rows)
    for index, field in enumerate(table.schema):
        stream += prefixed(field.name) + oracle_column(field.type, plain(table.column(index)))
    return hashlib.sha256(stream).hexdigest()


def plain(column: pa.ChunkedArray) -> list[Any]:
    """Python values; times as their integer counts."""
    if pa.types.is_temporal(column.type):
        width = pa.int64() if column.type.bit_width == 64 else pa.int32()
        return [value for chunk in column.chunks for value in chunk.view(width).to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


PACKED = {"int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q"}
PACKED |= {"uint64": "Q", "float": "f", "double": "d", "bool": "B"}


def oracle_column(kind: pa.DataType, values: list[Any]) -> bytes:
    validity = bytes(value is not None for value in values)
    flags = b"\0" if all(validity) else b"\1" + validity
    if pa.types.is_struct(kind):
        stream = prefixed(f"struct[{kind.num_fields}]") + flags
        for field in kind:
            below = [None if value is None else value[field.name] for value in values]
            stream += prefixed(field.name) + oracle_column(field.type, below)
        return stream
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lists = [value or [] for value in values]
        lengths = b"".join(struct.pack("<q", len(value)) for value in lists)
        below = [item for value in lists for item in value]
        return prefixed("list") + flags + lengths + oracle_column(kind.value_type, below)
    if pa.types.is_dictionary(kind):
        return oracle_column(kind.value_type, values)
    if pa.types.is_fixed_size_binary(kind):
        filled = [value if value is not None else bytes(kind.byte_width) for value in values]
        return prefixed(str(kind)) + flags + b"".join(filled)
    if str(kind) in ("string", "large_string", "binary", "large_binary"):
        texts = [value.encode() if isinstance(value, str) else value or b"" for value in values]
        offsets = [0, *np.cumsum([len(text) for text in texts]).tolist()] if texts else []
        packed = b"".join(struct.pack("<q", offset) for offset in offsets)
        return prefixed("string" if "string" in str(kind) else "binary") + flags + packed + b"".join(texts)
    code = PACKED.get(str(kind)) or ("q" if kind.bit_width == 64 else "i")
    return (
        prefixed(str(kind))
        + flags
        + b"".join(struct.pack("<" + code, 0 if value is None else value) for value in values)
    )


# Tables --------------------------------------------------------------------------------------------------------------

LEAVES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "string": (pa.string(), st.text(max_size=5)),
    "large_string": (pa.large_string(), st.text(max_size=5)),
    "binary": (pa.binary(), st.binary(max_size=4)),
    "fixed": (pa.binary(3), st.binary(min_size=3, max_size=3)),
    "bool": (pa.bool_(), st.booleans()),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint8": (pa.uint8(), st.integers(0, 255)),
    "int32": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "uint32": (pa.uint32(), st.integers(0, 2**32 - 1)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float32": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "float64": (pa.float64(), st.floats(allow_nan=False)),
    "timestamp": (pa.timestamp("us", tz="UTC"), st.integers(-(2**40), 2**50)),
}

Typed = tuple[pa.DataType, st.SearchStrategy[Any]]


def nested(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    def as_list(typed: Typed) -> Typed:
        return pa.list_(typed[0]), st.lists(st.none() | typed[1], max_size=3)

    def as_struct(children: list[Typed]) -> Typed:
        names = "abc"[: len(children)]
        kind = pa.struct([pa.field(name, child[0]) for name, child in zip(names, children, strict=True)])
        values = {name: st.none() | child[1] for name, child in zip(names, children, strict=True)}
        return kind, st.fixed_dictionaries(values)

    return inner.map(as_list) | st.lists(inner, min_size=1, max_size=3).map(as_struct)


# Times stay at the top: below it Python values would be datetimes, which the integer strategies are not.
BELOW = st.sampled_from([value for name, value in LEAVES.items() if name != "timestamp"])
TYPED = st.sampled_from(list(LEAVES.values())) | nested(BELOW) | nested(nested(BELOW))


@st.composite
def tables(draw: st.DrawFn, *, min_rows: int = 0) -> pa.Table:
    rows = draw(st.integers(min_rows, 6))
    columns = {}
    for name in draw(st.lists(st.sampled_from(["id", "text", "b", "é"]), min_size=1, max_size=3, unique=True)):
        kind, values = draw(TYPED)
        columns[name] = pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), kind)
    return pa.table(columns)


def resized(kind: pa.DataType) -> pa.DataType:
    """The same type with the other offset width at every depth, and another name for list items."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, resized(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.large_list(pa.field("element", resized(kind.value_type)))
    swaps = {pa.string(): pa.large_string(), pa.large_string(): pa.string(), pa.binary(): pa.large_binary()}
    return swaps.get(kind, kind)


def rechunked(table: pa.Table, cuts: list[int]) -> pa.Table:
    places = sorted({0, table.num_rows, *(cut for cut in cuts if cut <= table.num_rows)})
    pieces = [table.slice(start, stop - start) for start, stop in pairwise(places)]
    return pa.concat_tables(pieces) if pieces else table


@settings(max_examples=150, deadline=None)
@given(tables())
def test_rows_digest_is_the_documented_format(table: pa.Table) -> None:
    assert rows_digest(table) == oracle(table)


@settings(max_examples=100, deadline=None)
@given(tables(), st.lists(st.integers(0, 6), max_size=3), st.integers(0, 2), st.integers(0, 2))
def test_rows_digest_ignores_chunks_slices_and_offset_widths(
    table: pa.Table, cuts: list[int], before: int, after: int
) -> None:
    wanted = rows_digest(table)
    assert rows_digest(rechunked(table, cuts)) == wanted
    padded = pa.concat_tables([table.slice(0, before), table, table.slice(0, after)]).combine_chunks()
    assert rows_digest(padded.slice(min(before, len(table)), len(table))) == wanted
    other = table.cast(pa.schema([pa.field(field.name, resized(field.type)) for field in table.schema]))
    assert rows_digest(other) == wanted
    strict = table.replace_schema_metadata({"note": "metadata is not rows"})
    assert rows_digest(strict) == wanted


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(["none", "zstd", "snappy"]), st.integers(1, 7), st.booleans(), st.sampled_from("12"))
def test_rows_digest_survives_parquet(
    table: pa.Table, compression: str, group: int, dictionary: bool, version: str
) -> None:
    stream = io.BytesIO()
    pq.write_table(
        table,
        stream,
        compression=compression,
        row_group_size=group,
        use_dictionary=dictionary,
        data_page_version=f"{version}.0",
    )
    assert rows_digest(pq.read_table(io.BytesIO(stream.getvalue()))) == rows_digest(table)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.text(max_size=4), max_size=8), st.integers(0, 8))
def test_rows_digest_decodes_dictionaries(values: list[str | None], cut: int) -> None:
    wanted = rows_digest(pa.table({"x": pa.array(values, pa.string())}))
    pieces = [values[:cut], values[cut:]]  # each chunk with a dictionary of its own
    coded = pa.chunked_array([pa.array(piece, pa.string()).dictionary_encode() for piece in pieces])
    assert rows_digest(pa.table({"x": coded})) == wanted
    inside = pa.StructArray.from_arrays([pa.array(values, pa.string()).dictionary_encode()], names=["s"])
    outside = pa.StructArray.from_arrays([pa.array(values, pa.large_string())], names=["s"])
    assert rows_digest(pa.table({"x": inside})) == rows_digest(pa.table({"x": outside}))


def test_rows_digest_ignores_what_lies_under_nulls() -> None:
    mask = np.array([False, True, False])
    validity = pa.py_buffer(bytes([0b101]))

    def texts(kind: pa.DataType, data: bytes, offsets: list[int], width: str) -> pa.Array:
        return pa.Array.from_buffers(kind, 3, [validity, pa.py_buffer(np.array(offsets, width)), pa.py_buffer(data)])

    hidden = pa.table(
        {
            "n": pa.array(np.array([1, 666, 3]), mask=mask),
            "f": pa.Array.from_buffers(pa.float32(), 3, [validity, pa.py_buffer(np.array([1, np.nan, 3], "f4"))]),
            "t": pa.Array.from_buffers(pa.timestamp("us", "UTC"), 3, [validity, pa.py_buffer(np.array([1, 9, 3]))]),
            "b": pa.Array.from_buffers(pa.bool_(), 3, [validity, pa.py_buffer(bytes([0b011]))]),
            "s": texts(pa.string(), b"abXXcd", [0, 2, 4, 6], "<i4"),
            "w": texts(pa.large_binary(), b"abXXcd", [0, 2, 4, 6], "<i8"),
            "k": pa.Array.from_buffers(pa.binary(2), 3, [validity, pa.py_buffer(b"abXXcd")]),
            "l": pa.ListArray.from_arrays(
                pa.array([0, 1, 3, 4], pa.int32()), pa.array([1, 6, 6, 4]), mask=pa.array(mask)
            ),
            "o": pa.StructArray.from_arrays([pa.array(["a", "XX", "b"])], names=["s"], mask=pa.array(mask)),
        }
    )
    rows = hidden.to_pylist()
    assert all(value is None for value in rows[1].values())
    clean = pa.Table.from_pylist(rows, schema=hidden.schema)
    assert rows_digest(hidden) == rows_digest(clean) == oracle(clean)


def mutated(kind: pa.DataType, value: Any) -> Any:
    """Another value of the same type."""
    if value is None:
        return empty_of(kind)
    if pa.types.is_struct(kind):
        first = kind.field(0)
        return {**value, first.name: mutated(first.type, value[first.name])}
    if pa.types.is_list(kind):
        return [*value, None]
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:] if value else (b"\1" if kind == pa.binary() else value)
    if isinstance(value, float):
        return 1.0 if value == 0 else 0.0
    return value + 1 if value < 100 else value - 1


def empty_of(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return {field.name: None for field in kind}
    if pa.types.is_list(kind):
        return []
    if pa.types.is_fixed_size_binary(kind):
        return bytes(kind.byte_width)
    if pa.types.is_binary(kind):
        return b""
    return "" if "string" in str(kind) else False if pa.types.is_boolean(kind) else 0


@settings(max_examples=120, deadline=None)
@given(tables(min_rows=1), st.data())
def test_any_change_of_rows_changes_the_digest(table: pa.Table, data: st.DataObject) -> None:
    """Every value, null against empty, a column's name, the order of columns and of rows, a row more."""
    index = data.draw(st.integers(0, table.num_columns - 1))
    row = data.draw(st.integers(0, table.num_rows - 1))
    field, digest = table.schema.field(index), rows_digest(table)
    values = plain(table.column(index))
    changed = [*values[:row], mutated(field.type, values[row]), *values[row + 1 :]]
    assert rows_digest(table.set_column(index, field, pa.array(changed, field.type))) != digest
    assert rows_digest(table.rename_columns([name + "_" for name in table.column_names])) != digest
    if table.num_columns > 1:
        assert rows_digest(table.select(table.column_names[::-1])) != digest
    backwards = pa.table({name: pa.array(plain(table[name])[::-1], table[name].type) for name in table.column_names})
    assert (rows_digest(backwards) == digest) == (backwards.equals(table))
    assert rows_digest(pa.concat_tables([table, table.slice(row, 1)])) != digest


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_a_table_of_zeros_differs_from_one_of_nulls_and_one_of_another_type(name: str) -> None:
    kind, _ = LEAVES[name]
    zero = rows_digest(pa.table({"x": pa.array([empty_of(kind)] * 3, kind)}))
    assert rows_digest(pa.table({"x": pa.array([None] * 3, kind)})) != zero
    others = [other for key, (other, _) in LEAVES.items() if key.removeprefix("large_") != name.removeprefix("large_")]
    assert zero not in {rows_digest(pa.table({"x": pa.array([empty_of(other)] * 3, other)})) for other in others}


def test_rows_cannot_slide_between_columns() -> None:
    """Bytes that move from one column's values into the next one's validity or name must not cancel out."""
    moved = [
        pa.table({"a": pa.array([1, 1], pa.int8()), "b": pa.array([7, None], pa.int8())}),
        pa.table({"a": pa.array([1, None], pa.int8()), "b": pa.array([1, 7], pa.int8())}),
        pa.table({"a": pa.array([118, 1], pa.int8()), "b": pa.array([1, 7], pa.int8())}),
        pa.table({"a": pa.array(["ab", "c"]), "b": pa.array(["", ""])}),
        pa.table({"a": pa.array(["a", "bc"]), "b": pa.array(["", ""])}),
        pa.table({"a": pa.array(["a", "b"]), "b": pa.array(["c", ""])}),
        pa.table({"a": pa.array([["a"], ["b"]]), "b": pa.array([["c"], []])}),
        pa.table({"a": pa.array([["a", "b"], []]), "b": pa.array([["c"], []])}),
        pa.table({"a": pa.array([{"x": 1}, {"x": 2}]), "b": pa.array([3, 4])}),
        pa.table({"a": pa.array([{"x": 1, "b": 3}, {"x": 2, "b": 4}])}),
    ]
    assert len({rows_digest(table) for table in moved}) == len(moved)


def test_every_type_of_the_document_schema_has_a_canonical_form() -> None:
    assert rows_digest(DOCUMENT_SCHEMA.empty_table()) == oracle(DOCUMENT_SCHEMA.empty_table())
    assert rows_digest(pa.table({}).select([])) == hashlib.sha256(bytes(8)).hexdigest()


def test_two_columns_of_one_name_are_both_hashed() -> None:
    one, two = (pa.Table.from_arrays([pa.array([1]), pa.array([value])], names=["a", "a"]) for value in (2, 3))
    assert rows_digest(one) == oracle(one) != rows_digest(two)


@pytest.mark.parametrize("kind", [pa.decimal128(5), pa.map_(pa.string(), pa.int8()), pa.month_day_nano_interval()])
def test_a_type_without_canonical_form_is_named(kind: pa.DataType) -> None:
    table = pa.table({"price": pa.array([], kind)})
    with pytest.raises(TypeError, match=r"column 'price'.*no canonical form.*add one"):
        rows_digest(table)
    with pytest.raises(TypeError, match="no canonical form"):
        rows_digest(pa.table({"x": pa.array([], pa.list_(kind))}))


def test_json_digests_are_canonical() -> None:
    assert digest_json({"b": 1, "a": [1.5, None, "é"]}) == digest_json({"a": [1.5, None, "é"], "b": 1})
    assert digest_json({"a": [1, 2]}) != digest_json({"a": [2, 1]})
    assert digest_json(True) != digest_json(1) != digest_json("1")
    assert digest_json({"a": [1.5, None]}) == hashlib.sha256(b'{"a":[1.5,null]}').hexdigest()
    assert digest_json("\udc80") != digest_json("?")
    with pytest.raises(ValueError, match="JSON compliant"):
        digest_json(float("nan"))


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_equal_json_gives_equal_digests(value: Any) -> None:
    try:
        again = json.loads(json.dumps(value))
    except UnicodeError:
        return
    assert digest_json(again) == digest_json(value)


def test_byte_digests_agree_with_hashlib(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(data)
    assert digest_file(tmp_path / "x") == digest_bytes(data) == hashlib.sha256(data).hexdigest()


def test_each_component_of_an_action_decides_its_digest() -> None:
    asked: dict[str, Any] = {
        "asset": "clean_documents",
        "partition": "wiki.first",
        "algorithms": (Algorithm("edit", 1), Algorithm("rules", 2)),
        "config": {"threshold": 0.5, "seed": 1},
        "inputs": {"documents": "a" * 64, "spans": "b" * 64},
    }
    changes: list[dict[str, Any]] = [
        {"asset": "clean_document"},
        {"partition": None},
        {"partition": "None"},
        {"algorithms": (Algorithm("edit", 2), Algorithm("rules", 2))},
        {"algorithms": (Algorithm("edit", 1),)},
        {"config": {"threshold": 0.6, "seed": 1}},
        {"config": {"threshold": 0.5}},
        {"inputs": {"documents": "b" * 64, "spans": "a" * 64}},
        {"inputs": {"documents": "a" * 64}},
    ]
    digests = [action_digest(**{**asked, **change}) for change in [{}, *changes]]
    assert len(set(digests)) == len(digests)
    shuffled = {**asked, "algorithms": asked["algorithms"][::-1], "inputs": dict(reversed(asked["inputs"].items()))}
    assert action_digest(**shuffled) == digests[0]


def test_content_digests_depend_on_order_name_role_and_rows() -> None:
    entries = [("00000", "documents", "a"), ("00001", "documents", "b")]
    others = [entries[::-1], entries[:1], [("00000", "documents", "a"), ("00001", "decisions", "b")], []]
    digests = {content_digest(item) for item in [entries, *others]}
    assert len(digests) == 5
    assert content_digest(iter(entries)) == content_digest(entries)
