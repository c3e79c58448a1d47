"""Digests: what was asked (action) and what came out (content).

*Rows digest*: SHA-256 over canonical Arrow: columns in schema order, 32-bit offset types widened to 64-bit ones at
every depth, offsets rebased to zero, bytes under nulls zeroed, validity as one byte a row, only when a null exists.
Chunking, slicing, dictionary encoding and Parquet settings do not change it.
*Action digest*: SHA-256 over (asset, partition, algorithm versions, identity configuration, input content digests).
*Content digest*: SHA-256 over ordered (part name, role, rows digest). It is Dagster's data version.
*Byte digest*: SHA-256 of a file, for `verify` and transfer.

SHA-256 runs at 1.7 GB/s on a core with SHA extensions, faster than BLAKE2b there (0.9).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Algorithm(NamedTuple):
    """A named algorithm with a version that its author raises by hand when its output changes."""

    name: str
    version: int


def digest_json(value: Any) -> str:
    """SHA-256 of canonical JSON: sorted keys, no spaces, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def action_digest(
    asset: str,
    partition: str | None,
    algorithms: Iterable[Algorithm],
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> str:
    """Has this been done? `inputs` maps input names to content digests."""
    return digest_json(
        {
            "asset": asset,
            "partition": partition,
            "algorithms": {algorithm.name: algorithm.version for algorithm in algorithms},
            "config": dict(config),
            "inputs": dict(inputs),
        }
    )


def content_digest(entries: Iterable[tuple[str, str, str]]) -> str:
    """Digest of ordered (part name, role, rows digest)."""
    return digest_json(list(entries))


def rows_digest(table: pa.Table) -> str:
    """The canonical digest of a table's rows, equal for equal values however they are chunked or encoded.

    Raises `TypeError` with the column's name for an Arrow type that has no canonical form.
    """
    digest = hashlib.sha256()
    digest.update(len(table).to_bytes(8, "little"))
    for field, column in zip(table.schema, table.columns, strict=True):
        try:
            wanted = _canonical(field.type)
        except TypeError as error:
            raise TypeError(f"column {field.name!r}: {error}") from None
        _update_name(digest, field.name)
        _update(digest, (column if field.type == wanted else column.cast(wanted)).combine_chunks())
    return digest.hexdigest()


def _canonical(kind: pa.DataType) -> pa.DataType:
    """The type that stands for all encodings of the same values: decoded, 64-bit offsets, nullable, `item` in lists."""
    types = pa.types
    if types.is_dictionary(kind):
        return _canonical(kind.value_type)
    if types.is_string(kind) or types.is_large_string(kind):
        return pa.large_string()
    if types.is_binary(kind) or types.is_large_binary(kind):
        return pa.large_binary()
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.large_list(pa.field("item", _canonical(kind.value_type)))
    if types.is_struct(kind):
        return pa.struct([pa.field(field.name, _canonical(field.type)) for field in kind])
    flat = types.is_null(kind) or types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)
    moment = types.is_temporal(kind) and not types.is_interval(kind)
    if flat or moment or types.is_fixed_size_binary(kind):
        return kind
    raise TypeError(f"no canonical form for Arrow type {kind}; add one to rows_digest with a test")


def _family(kind: pa.DataType) -> str:
    """The name that is hashed. Names of nested types say nothing of their children: those name themselves."""
    if pa.types.is_struct(kind):
        return f"struct[{kind.num_fields}]"
    if pa.types.is_large_list(kind):
        return "list"
    return str(kind).removeprefix("large_")


def _update_name(digest: Any, name: str) -> None:
    encoded = name.encode()
    digest.update(len(encoded).to_bytes(4, "little") + encoded)


def _update(digest: Any, array: pa.Array) -> None:
    """Feed one canonical array: its family, its validity if it has nulls, its values, lengths first."""
    kind = array.type
    _update_name(digest, _family(kind))
    if array.null_count:
        digest.update(b"\1" + np.asarray(pc.is_valid(array)).astype(np.uint8).tobytes())
    else:
        digest.update(b"\0")
    if pa.types.is_null(kind):
        return
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            _update_name(digest, kind.field(index).name)
            _update(digest, pc.struct_field(array, [index]))  # null where the struct is, whatever lies below
        return
    if pa.types.is_large_list(kind):
        digest.update(np.asarray(pc.list_value_length(array).fill_null(0)).astype("<i8").tobytes())
        _update(digest, array.flatten())  # without what lies below null lists
        return
    if pa.types.is_fixed_size_binary(kind):
        filled = array.fill_null(b"\0" * kind.byte_width) if array.null_count else array
        start = filled.offset * kind.byte_width
        digest.update(
            memoryview(filled.buffers()[1])[start : start + len(filled) * kind.byte_width] if len(filled) else b""
        )
        return
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        empty = "" if pa.types.is_large_string(kind) else b""
        filled = array.fill_null(empty) if array.null_count else array
        if len(filled):
            _, offsets, data = filled.buffers()
            window = np.frombuffer(offsets, "<i8")[filled.offset : filled.offset + len(filled) + 1]
            digest.update((window - window[0]).tobytes())
            if data is not None:
                digest.update(memoryview(data)[window[0] : window[-1]])
        return
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    elif pa.types.is_temporal(kind):
        array = array.view(pa.int64() if kind.bit_width == 64 else pa.int32())
    filled = array.fill_null(0) if array.null_count else array
    digest.update(np.ascontiguousarray(filled.to_numpy(zero_copy_only=False)).tobytes())
