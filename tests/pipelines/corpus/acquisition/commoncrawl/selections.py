"""One selection from a mirror, with everything that must hold of any selection checked."""

from pathlib import Path
from typing import Any

from warcio.archiveiterator import ArchiveIterator

from pipelines.corpus.acquisition.commoncrawl.acquire import Acquired, acquire
from pipelines.corpus.acquisition.commoncrawl.client import Clockwork
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from tests.pipelines.corpus.acquisition.commoncrawl.mirror import CRAWL, Mirror
from tests.pipelines.corpus.acquisition.crawl.loopback import FakeClock

ARCHIVES = (
    "html_gold/real-pages.warc.gz",
    "warc/commoncrawl-whirlwind/whirlwind.warc.gz",
    "warc/dolma/sample-0000.warc.gz",
    "warc/pywb/iana.warc.gz",
    "warc/resiliparse/cc-extract-benign.warc.gz",
)


def settings(server: Mirror, **changes: Any) -> CommonCrawlConfig:
    values = {
        "crawls": [CRAWL],
        "tlds": ["com"],
        "mime": [],
        "index_url": server.base,
        "data_url": server.base,
        "requests_per_second": 1e6,
        "timeout_seconds": 5,
        **changes,
    }
    return CommonCrawlConfig(**values)


def run(server: Mirror, folder: Path, clock: FakeClock | None = None, **changes: Any) -> Acquired:
    clock = clock or FakeClock()
    done = acquire(settings(server, **changes), folder, Clockwork(clock, clock.sleep, lambda: 1.0))
    assert sum(done.outcomes.values()) == len(done.table) == done.estimate.records
    assert done.seen == done.estimate.matched + sum(done.refused.values())
    check_archive(server, folder, done)
    return done


def check_archive(server: Mirror, folder: Path, done: Acquired) -> None:
    """Every fetched row's record is byte for byte the archive's, where the table says; warcio checks all digests."""
    urls = []
    files = {name: (folder / name).read_bytes() for name in done.files}
    for name in done.files:
        with (folder / name).open("rb") as stream:
            for record in ArchiveIterator(stream, check_digests="raise"):
                record.content_stream().read()
                if record.rec_type in ("response", "revisit"):
                    urls.append(record.rec_headers.get_header("WARC-Target-URI"))
    fetched = [row for row in done.table.to_pylist() if row["outcome"].startswith("fetched")]
    assert urls == [row["url"] for row in fetched]
    for row in fetched:
        stored = files[row["stored_in"]][row["stored_at"] : row["stored_at"] + row["length"]]
        assert stored == server.files[row["filename"]][row["offset"] : row["offset"] + row["length"]]
    for row in done.table.to_pylist():
        if not row["outcome"].startswith("fetched"):
            assert str(row["offset"]) in row["detail"] or row["filename"] in row["detail"]
            assert row["stored_in"] is None
