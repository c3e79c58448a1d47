"""One folder of compiled kernels for the whole session, so that their 20 seconds are paid once."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Before any kernel is imported: numba reads the variable when it is."""
    from resources.home import library_digest

    os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".gristmill" / "cache" / "numba" / library_digest()))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
