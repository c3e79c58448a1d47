"""Records of the shared data that several dedup tests read."""

import io
import json
from typing import Any

import zstandard

from tests.shared_data import shared


def records(name: str, limit: int | None = None) -> list[dict[str, Any]]:
    """The first records of a `.jsonl.zst` file."""
    with zstandard.open(shared(f"{name}.jsonl.zst"), "rb") as stream:
        lines = io.TextIOWrapper(stream, encoding="utf-8")
        return [json.loads(line) for line, _ in zip(lines, range(limit or 10**9), strict=False)]


def texts(name: str, limit: int | None = None) -> list[str]:
    return [record["text"] for record in records(name, limit)]
