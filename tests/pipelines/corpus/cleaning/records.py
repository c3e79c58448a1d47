"""Real records as documents, for the tests of privacy, decontamination and cleaning."""

import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import zstandard

from pipelines.core.documents import DOCUMENT_SCHEMA, document_id, text_hash
from tests.shared_data import shared


def records(relative: str, limit: int | None = None) -> list[dict[str, Any]]:
    """The JSON lines of one shared `.jsonl.zst` file."""
    rows: list[dict[str, Any]] = []
    with shared(relative).open("rb") as stream:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(stream), encoding="utf-8"):
            if limit is not None and len(rows) == limit:
                break
            rows.append(json.loads(line))
    return rows


def documents(texts: Sequence[str], key: str = "mix.one", domain: str = "web", urls: Sequence[str] = ()) -> pa.Table:
    """A documents table; ids follow from the batch key and the position."""
    source, batch = key.split(".", 1)
    count = len(texts)
    columns = {
        "id": [document_id(key, str(position)) for position in range(count)],
        "text": texts,
        "text_hash": [text_hash(text) for text in texts],
        "url": list(urls) or [None] * count,
        "url_hash": [None] * count,
        "source": [source] * count,
        "batch": [batch] * count,
        "domain": [domain] * count,
        "language": [None] * count,
        "fetched_at": [None] * count,
        "locator": [str(position) for position in range(count)],
        "meta": [None] * count,
    }
    return pa.table([pa.array(columns[f.name], f.type) for f in DOCUMENT_SCHEMA], schema=DOCUMENT_SCHEMA)
