"""Real data beside the checkout, for tests: present, skipped with a reason, or (under CI) a failure."""

import os
from pathlib import Path

import pytest

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
