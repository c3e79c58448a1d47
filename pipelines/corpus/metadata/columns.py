"""Numeric columns out of the JSON of `meta`: float64, NaN for what is missing or no number."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.corpus.metadata.config import MetadataColumn

Column = npt.NDArray[np.float64]
LARGEST: Final = 1e100
"""A larger number is no measurement, and sums of its squares overflow."""


def read_columns(meta: pa.ChunkedArray, columns: Mapping[str, MetadataColumn]) -> tuple[dict[str, Column], int]:
    """The columns of `meta` (JSON objects or null) and how many values were there but are no number."""
    values: dict[str, list[float]] = {name: [] for name in columns}
    unreadable = 0
    paths = {name: (column.field or name, column.kind) for name, column in columns.items()}
    for item in meta.to_pylist():
        record = _object(item)
        for name, (path, kind) in paths.items():
            found = _at(record, path)
            number = math.nan if found is None else _number(found, kind)
            unreadable += found is not None and math.isnan(number)
            values[name].append(number)
    return {name: np.array(numbers, np.float64) for name, numbers in values.items()}, unreadable


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _at(record: dict[str, Any], path: str) -> Any:
    """The value of a name, else of a dotted path; objects inside are texts of JSON, as the readers keep them."""
    if path in record:
        return record[path]
    value: Any = record
    for name in path.split("."):
        if isinstance(value, str) and value.startswith("{"):
            value = _object(value)
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value


_WRITTEN: Final = re.compile(r"([+-]?\d{1,15}(?:\.\d{1,15})?)\s*([km万萬億亿])\+?")
_GROUPED: Final = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")
_FACTORS: Final = {"k": 10**3, "m": 10**6, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}


def _written(text: str) -> str | float:
    """A number as pages show it: `1,234`, `1.2k`, `3万`, `10m+`; other text as it is."""
    plain = _GROUPED.sub("", text.strip().lower())
    found = _WRITTEN.fullmatch(plain)
    return float(found[1]) * _FACTORS[found[2]] if found else plain


def _number(value: Any, kind: str) -> float:
    """A number whose square is one, too, or NaN."""
    try:
        if kind == "time":
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
            if moment is None:
                return math.nan
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        number = float(_written(value) if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if abs(number) <= LARGEST else math.nan
