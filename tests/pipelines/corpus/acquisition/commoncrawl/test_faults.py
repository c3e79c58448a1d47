"""Servers that cut, throttle, lie, corrupt and vanish: what passes costs nothing, what lasts is counted or said."""

import gzip
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelines.corpus.acquisition.commoncrawl.acquire import Progress, acquire
from pipelines.corpus.acquisition.commoncrawl.client import Clockwork
from pipelines.corpus.acquisition.commoncrawl.errors import CommonCrawlError
from pipelines.corpus.acquisition.commoncrawl.fetch import GIVE_UP_AFTER
from tests.pipelines.corpus.acquisition.commoncrawl.mirror import CRAWL, Ask, Mirror, running
from tests.pipelines.corpus.acquisition.commoncrawl.selections import ARCHIVES, run, settings
from tests.pipelines.corpus.acquisition.crawl.loopback import FakeClock
from tests.shared_data import shared


@pytest.mark.parametrize("fault", ["cut", "wrong_range", "200", "503 7", "429 7", "500", "corrupt", "drop"])
def test_passing_faults_cost_nothing(mirror: Mirror, tmp_path: Path, fault: str) -> None:
    """Every first answer is spoiled, of archives and of both indexes; the second one is asked for after a wait."""

    def spoiled(ask: Ask) -> bool:
        if fault == "corrupt":
            return [path for path, _ in mirror.ranges()].count(ask.path) == 1
        return ask.times == 0

    mirror.fault = lambda ask: fault if spoiled(ask) else None
    for index in ("cdx", "columnar"):
        clock = FakeClock()
        done = run(mirror, tmp_path / index, clock, index=index, tlds=["org"], concurrency=1)
        assert set(done.outcomes) <= {"fetched", "fetched:digest_by_header"} and len(done.table) > 30
        assert fault == "corrupt" or clock.slept
        if fault.endswith(" 7"):
            assert {7.0} == {wait for wait in clock.slept if wait > 2.0}
        mirror.asked.clear()


def test_a_cut_range_is_continued_where_it_broke(mirror: Mirror, tmp_path: Path) -> None:
    mirror.fault = lambda ask: "cut" if "/segments/" in ask.path and ask.times == 0 and ask.span[0] in starts else None
    starts = {int(row["offset"]) for row in mirror.rows}
    done = run(mirror, tmp_path, tlds=["org"])
    assert done.outcomes == {"fetched": len(done.table)}
    assert sum(stop - start for _, (start, stop) in mirror.ranges()) > done.estimate.request_bytes
    index_bytes = 400_000
    assert done.received <= done.estimate.request_bytes + index_bytes


@pytest.mark.parametrize(
    ("fault", "outcome"), [("corrupt", "corrupt_member"), ("404", "http_404"), ("403", "http_403"), ("301", "http_301")]
)
def test_lasting_faults_are_counted_with_file_and_offset(
    mirror: Mirror, tmp_path: Path, fault: str, outcome: str
) -> None:
    bad = next(row["filename"] for row in mirror.rows if row["filename"].endswith("00003.warc.gz"))
    mirror.fault = lambda ask: fault if bad in ask.path else None
    done = run(mirror, tmp_path, tlds=["org"], max_range_bytes=1)
    lost = sum(row["filename"] == bad for row in done.table.to_pylist())
    assert 0 < lost < len(done.table)
    assert done.outcomes == {outcome: lost, "fetched": len(done.table) - lost}


def test_a_server_that_shuts_us_out_is_no_property_of_the_records(mirror: Mirror, tmp_path: Path) -> None:
    """403 for file after file is a ban: the rest is not written off, and is fetched when it is lifted."""
    mirror.fault = lambda ask: "403" if "/segments/" in ask.path and len(mirror.ranges()) > 3 else None
    changes: dict[str, Any] = {"tlds": ["com", "org"], "max_range_bytes": 1, "concurrency": 1}
    for _ in range(4):  # however long it lasts
        with pytest.raises(CommonCrawlError, match=r"were refused.*http_403.*wait for the end of the ban"):
            run(mirror, tmp_path, **changes)
    mirror.fault = lambda ask: None
    done = run(mirror, tmp_path, **changes)
    assert set(done.outcomes) <= {"fetched", "fetched:digest_by_header"} and len(done.table) > 40


@pytest.mark.parametrize("place", ["first", "last"])
def test_files_that_are_forbidden_for_good_are_dropped_at_the_second_run(
    mirror: Mirror, tmp_path: Path, place: str
) -> None:
    """Three of them at the start or the end of the plan stop the first run, and the second one alone goes past them."""
    changes: dict[str, Any] = {"tlds": ["com", "org"], "max_range_bytes": 1, "concurrency": 1}
    files = list(dict.fromkeys(row["filename"] for row in run(mirror, tmp_path / "all", **changes).table.to_pylist()))
    bad = files[:GIVE_UP_AFTER] if place == "first" else files[-GIVE_UP_AFTER:]
    mirror.fault = lambda ask: "403" if any(name in ask.path for name in bad) else None
    with pytest.raises(CommonCrawlError, match=r"were refused.*run it again"):
        run(mirror, tmp_path / "some", **changes)
    done = run(mirror, tmp_path / "some", **changes)
    lost = [row["outcome"] for row in done.table.to_pylist() if row["filename"] in bad]
    assert set(lost) == {"http_403"} and done.outcomes["http_403"] == len(lost)
    assert len(done.table) > len(lost) == sum(row["filename"] in bad for row in done.table.to_pylist())


def test_an_index_that_lies_is_found_out(tmp_path: Path) -> None:
    """Wrong offset, length, digest, URL, a place outside the file, a path that leaves the base."""
    with running(Mirror([shared(ARCHIVES[3])])) as server:
        rows = [row for row in server.rows if row["status"] == "200"][:8]
        kept, rows[0]["offset"], rows[1]["digest"] = rows[7], str(int(rows[0]["offset"]) + 1), "A" * 32
        rows[2]["url"] = rows[2]["url"] + "x"
        rows[3]["offset"], rows[4]["length"] = "99999999", str(int(rows[4]["length"]) - 1)
        rows[5]["filename"], rows[6]["length"] = "../../etc/passwd", "abc"
        server.rows = rows
        done = run(server, tmp_path, tlds=["org"], gap_bytes=0)
        outcomes = {row["url"]: row["outcome"] for row in done.table.to_pylist()}
    assert done.refused == {"bad_row": 2}
    assert outcomes[kept["url"]] == "fetched"
    assert sorted(outcomes.values()) == sorted(
        ["corrupt_member", "digest_mismatch", "wrong_record", "range_outside", "corrupt_member", "fetched"]
    )


def test_a_server_that_is_away_stops_the_fetch_and_settles_nothing(mirror: Mirror, tmp_path: Path) -> None:
    broken = {"on": False}

    def fault(ask: Ask) -> str | None:
        if "/segments/" in ask.path and len(mirror.ranges()) > 4:
            broken["on"] = True
        return "503" if broken["on"] else None

    mirror.fault = fault
    common: dict[str, Any] = {"tlds": ["org"], "max_range_bytes": 1, "concurrency": 1}
    with pytest.raises(CommonCrawlError, match="run it again"):
        run(mirror, tmp_path, retries=1, **common)
    mirror.fault = lambda ask: None
    mirror.asked.clear()
    done = run(mirror, tmp_path, **common)
    assert done.outcomes == {"fetched": len(done.table)}
    assert len(mirror.ranges()) == len(done.table) - 4
    assert not [path for path, _ in mirror.asked if "index" in path]
    mirror.asked.clear()
    again = run(mirror, tmp_path, **common)
    assert again.table.equals(done.table) and mirror.asked == []


@pytest.mark.parametrize("index", ["cdx", "columnar"])
def test_an_index_that_is_away_fetches_nothing(mirror: Mirror, tmp_path: Path, index: str) -> None:
    mirror.fault = lambda ask: "503" if ask.query.get("page") == ["1"] or "part-00001" in ask.path else None
    with pytest.raises(CommonCrawlError, match="503"):
        run(mirror, tmp_path, index=index, retries=1)
    assert mirror.ranges() == []
    first = Counter(path for path, _ in mirror.asked)
    mirror.fault = lambda ask: None
    done = run(mirror, tmp_path, index=index)
    assert len(done.table) > 15
    known = [path for path, span in mirror.asked if ("page=0" in path or "part-00000" in path)]
    assert len(known) == sum(first[path] for path in set(known)), "what was looked up is not looked up again"


def test_a_server_that_ignores_ranges_is_told_apart(mirror: Mirror, tmp_path: Path) -> None:
    mirror.fault = lambda ask: "200" if "/segments/" in ask.path else None
    with pytest.raises(CommonCrawlError, match="range_ignored"):
        run(mirror, tmp_path, retries=2, max_range_bytes=1)


def test_a_dripping_server_is_cut_off(tmp_path: Path) -> None:
    with running(Mirror([shared(ARCHIVES[1])])) as server:
        server.fault = lambda ask: "drip" if "/segments/" in ask.path else None
        work = Clockwork(time.time, lambda seconds: None, lambda: 0.5)
        began = time.monotonic()
        with pytest.raises(CommonCrawlError, match="too_slow"):
            changes = {"max_request_seconds": 0.2, "retries": 0, "tlds": ["org"], "max_range_bytes": 1}
            three = [{**server.rows[0]}, {**server.rows[0], "offset": "1"}, {**server.rows[0], "offset": "2"}]
            server.rows = three
            acquire(settings(server, **changes), tmp_path, work)
        assert time.monotonic() - began < 10


def test_gunzip_of_the_index_list_is_checked(mirror: Mirror, tmp_path: Path) -> None:
    path = f"crawl-data/{CRAWL}/cc-index-table.paths.gz"
    whole = mirror.files[path]
    try:
        mirror.files[path] = gzip.compress(b"x" * 100)[:20]
        with pytest.raises(CommonCrawlError, match="no list of files"):
            run(mirror, tmp_path, index="columnar")
    finally:
        mirror.files[path] = whole


def test_a_stopped_fetch_waits_for_no_retries(mirror: Mirror, tmp_path: Path) -> None:
    """Somebody cancels while other requests are being retried with long waits: they end at their next attempt."""

    class CancelledError(BaseException):
        pass

    def cancel(moment: Progress) -> None:
        if moment.done:
            raise CancelledError

    first = min(int(row["offset"]) for row in mirror.rows if row["filename"].endswith("00000.warc.gz"))
    mirror.fault = lambda ask: "503" if "/segments/" in ask.path and ask.span and ask.span[0] != first else None
    clock = FakeClock()
    config = settings(mirror, tlds=["com", "org"], max_range_bytes=1, concurrency=4, retries=1000)
    with pytest.raises(CancelledError):
        acquire(config, tmp_path, Clockwork(clock, clock.sleep, lambda: 1.0), cancel)
    assert len(mirror.ranges()) < 1000
