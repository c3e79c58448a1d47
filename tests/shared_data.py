"""Real data beside the checkout, for tests: present, skipped with a reason, or (under CI) a failure."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard

ROOT = Path(os.environ.get("GRISTMILL_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def shared(relative: str) -> Path:
    """The path of one shared data file or folder; without it the test is skipped, and fails when `CI=true`."""
    path = ROOT / relative
    if path.exists():
        return path
    reason = f"shared test data {relative!r} is not here: set GRISTMILL_SHARED_DATA to the folder that holds it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def shared_records(relative: str) -> list[dict[str, Any]]:
    """The records of a shared `.jsonl.zst`, parsed by Python alone."""
    with shared(relative).open("rb") as stream, zstandard.ZstdDecompressor().stream_reader(stream) as plain:
        return [json.loads(line) for line in io.TextIOWrapper(plain, encoding="utf-8")]
