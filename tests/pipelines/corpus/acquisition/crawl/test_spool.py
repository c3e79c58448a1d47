"""The spool gives back what was put into it, whole, or nothing."""

import os
from pathlib import Path

import pytest

from pipelines.corpus.acquisition.crawl.fetch import Exchange
from pipelines.corpus.acquisition.crawl.frontier import Entry
from pipelines.corpus.acquisition.crawl.links import PageLinks
from pipelines.corpus.acquisition.crawl.spool import Spool
from pipelines.corpus.acquisition.crawl.visit import Visit

URL = "http://host/a"
ENTRY = Entry(depth=0, turn=0, order=7, url=URL, key=URL, hops=0, sitemap=0)
VISIT = Visit(
    Exchange(URL, "fetched", request=b"GET /a\r\n", body=b"body\nof it", head=(b"HTTP/1.1 200 OK", b"A: b"), date=1.5),
    PageLinks(["http://host/b"], 0),
)


def test_a_torn_visit_is_removed_and_a_whole_one_comes_back(tmp_path: Path) -> None:
    """A power cut may leave any beginning of a file, or as many zero bytes; each must not block or spoil a resume."""
    spool, path = Spool(tmp_path), tmp_path / "000000007.visit"
    spool.put(ENTRY, VISIT)
    whole = path.read_bytes()
    assert spool.load([ENTRY]) == {7: VISIT}
    for torn in (*(whole[:size] for size in range(len(whole))), bytes(len(whole)), whole + b"x", b"\xff\n", b"1\n"):
        path.write_bytes(torn)
        assert spool.load([ENTRY]) == {}, torn
        assert not path.exists()


def test_a_visit_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync, synced = os.fsync, []

    def spy(handle: int) -> None:
        synced.append((os.fstat(handle).st_size, sorted(path.name for path in tmp_path.iterdir())))
        sync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    Spool(tmp_path).put(ENTRY, VISIT)
    assert synced == [((tmp_path / "000000007.visit").stat().st_size, ["000000007.new"])]
