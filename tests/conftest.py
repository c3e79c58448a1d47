"""One folder of compiled kernels for the whole session, so that their 20 seconds are paid once; one S3 server."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.resources.s3_server import S3Server

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Before any kernel is imported: numba reads the variable when it is."""
    from resources.home import library_digest

    os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".gristmill" / "cache" / "numba" / library_digest()))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes do not name a test: gzip writes the clock into them (even their length varies when packed twice), and
    workers that differ in one name refuse to start."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def s3() -> "Iterator[S3Server]":
    """An S3 server of this machine, named by the environment from its first use on."""
    from tests.resources.s3_server import s3_server

    try:
        import flask_cors  # noqa: F401
        import moto  # noqa: F401
        import s3fs  # noqa: F401
    except ImportError as error:
        reason = f"no S3 server to test with ({error}): pip install -c constraints.txt -e '.[test]'"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with s3_server() as served, pytest.MonkeyPatch.context() as patch:
        for name, value in served.environment().items():
            patch.setenv(name, value)
        yield served
