"""The mirror that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.pipelines.corpus.acquisition.commoncrawl.mirror import Mirror, rows_of, running
from tests.pipelines.corpus.acquisition.commoncrawl.selections import ARCHIVES
from tests.shared_data import shared


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """Five real archives, of the largest its first 25 pages."""
    large, *rest = (shared(name) for name in ARCHIVES)
    first = tmp_path_factory.mktemp("archives") / "first.warc.gz"
    first.write_bytes(large.read_bytes()[: int(rows_of("", large)[25]["offset"])])
    with running(Mirror([first, *rest])) as server:
        yield server


@pytest.fixture(autouse=True)
def _fresh(request: pytest.FixtureRequest) -> None:
    if "mirror" in request.fixturenames:
        server = request.getfixturevalue("mirror")
        server.fault = lambda ask: None
        server.asked.clear()
        server.sent = 0
