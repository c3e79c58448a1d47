"""The document: one row, the same columns from extraction to training.

An id is 128 bits: 32 bits of the batch key's hash, then 96 bits of the locator's. The locator names a place inside the
batch (relative path, then record offset, line, or page and revision), so an id leads to its batch, survives every
stage, and the same URL crawled again is another document. `text_hash` says what the text is: edits change it, the id
stays. Hashes of hostile text are cryptographic (BLAKE2b); nobody can craft a document that takes another one's place.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

ID_BYTES: Final = 16
BATCH_HASH_BYTES: Final = 4

DOCUMENT_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.binary(ID_BYTES), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("text_hash", pa.binary(16), nullable=False),
        pa.field("url", pa.large_string()),
        pa.field("url_hash", pa.uint64()),
        pa.field("source", pa.large_string(), nullable=False),
        pa.field("batch", pa.large_string(), nullable=False),
        pa.field("domain", pa.large_string(), nullable=False),
        pa.field("language", pa.large_string()),
        pa.field("fetched_at", pa.timestamp("us", tz="UTC")),
        pa.field("locator", pa.large_string(), nullable=False),
        pa.field("meta", pa.large_string()),
    ]
)
"""`meta` is a JSON object or null; `language` is the declared or extracted one, detection is a quality signal."""

ATTRIBUTE_KEYS: Final = (DOCUMENT_SCHEMA.field("id"), DOCUMENT_SCHEMA.field("text_hash"))
"""The first two columns of every attribute table: whose row it is, and of which text."""

_SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]*")
_BATCH = re.compile(r"[a-z0-9][a-z0-9_.-]*")
KEY_LENGTH: Final = 63


class BadKeyError(ValueError):
    """A partition key that is not `<source>.<batch>`."""


def split_key(key: str) -> tuple[str, str]:
    """`("python-docs", "first")` of `"python-docs.first"`; keys are hostile input, so the whole string must match."""
    source, dot, batch = key.partition(".")
    if len(key) > KEY_LENGTH or not dot or not _SOURCE.fullmatch(source) or not _BATCH.fullmatch(batch):
        raise BadKeyError(
            f"partition key {key[:80]!r} is not <source>.<batch>: source {_SOURCE.pattern}, batch {_BATCH.pattern}, "
            f"{KEY_LENGTH} characters at most"
        )
    return source, batch


def batch_prefix(key: str) -> bytes:
    """The 4 bytes that every id of this batch starts with."""
    return hashlib.blake2b(key.encode(), digest_size=BATCH_HASH_BYTES, person=b"batch").digest()


def document_id(key: str, locator: str) -> bytes:
    """The 16-byte id of the document at `locator` in batch `key`."""
    tail = hashlib.blake2b(
        locator.encode("utf-8", "surrogatepass"), digest_size=ID_BYTES - BATCH_HASH_BYTES, person=b"locator"
    )
    return batch_prefix(key) + tail.digest()


def text_hash(text: str) -> bytes:
    """The 16-byte BLAKE2b of the UTF-8 text."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def id_directory(parts: Sequence[pa.Table]) -> pa.Table:
    """`id, part, row` of every document of a batch, sorted by id: where to look a document up without a scan."""
    ids = pa.concat_tables([part.select(["id"]) for part in parts])["id"]
    numbers = [number for number, part in enumerate(parts) for _ in range(len(part))]
    rows = [row for part in parts for row in range(len(part))]
    columns = {"id": ids, "part": pa.array(numbers, pa.int32()), "row": pa.array(rows, pa.int32())}
    return pa.table(columns).sort_by("id").combine_chunks()
