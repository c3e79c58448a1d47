"""The attribute family `metadata`: fields of a document's own metadata as signals, such as likes, scores and replies.

In: documents (`id`, `text_hash`, `meta`: a JSON object or null). Each declared field gives a column `meta_<name>`: a
number (also one in a text, such as "1,234", "1.2k", "3万") or a text; null where the field is absent or is something
else. So a threshold on engagement is a rule like any other: `meta_likes >= 3`, with `missing` saying what a document
without likes does. Cost: one JSON parse a document.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.config import MetadataConfig, MetadataField

METADATA: Final = Algorithm("metadata_signals", 1)
ALGORITHMS: Final = (METADATA,)

_NUMBER = re.compile(r"([+-]?\d{1,15}(?:\.\d{1,15})?)\s*([km万萬億亿]?)\+?")
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}


def metadata_part(tables: Mapping[str, pa.Table], config: MetadataConfig) -> PartResult:
    """`tables["documents"]` to `tables["metadata"]`: the keys and a column for each declared field."""
    documents = tables["documents"]
    values: dict[str, list[Any]] = {name: [] for name in config.fields}
    for text in documents.column("meta").to_pylist():
        meta = _parse(text)
        for name, wanted in config.fields.items():
            values[name].append(_value(meta, wanted))
    columns: dict[str, Any] = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    for name, wanted in config.fields.items():
        columns[f"meta_{name}"] = pa.array(values[name], pa.float64() if wanted.kind == "number" else pa.large_string())
    table = pa.table(columns)
    return PartResult({"metadata": table}, {"rows_in": len(documents), "kept": len(table)})


def column_descriptions(config: MetadataConfig) -> dict[str, str]:
    """Every column after the keys, in order."""
    return {f"meta_{name}": f"{wanted.path} of the document's metadata" for name, wanted in config.fields.items()}


def _parse(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _value(meta: Any, wanted: MetadataField) -> float | str | None:
    for step in wanted.path.split("."):
        meta = meta.get(step) if isinstance(meta, dict) else None
    if wanted.kind == "text":
        return meta if isinstance(meta, str) else None
    return number_of(meta)


def number_of(value: Any) -> float | None:
    """A JSON value as a finite number; None for what is none. A truth value is 1 or 0."""
    if isinstance(value, str):
        found = _NUMBER.fullmatch(_GROUPED.sub("", value.strip().lower()))
        return float(found[1]) * _FACTORS[found[2]] if found else None
    if not isinstance(value, bool | int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
