"""Crawls that were stopped, killed or lost power go on, and ask for nothing twice."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from pipelines.corpus.acquisition.crawl.crawler import SPOOL_NAME
from pipelines.corpus.acquisition.crawl.journal import JOURNAL_NAME
from pipelines.corpus.acquisition.crawl.summary import Progress
from tests.pipelines.corpus.acquisition.crawl.crawls import SITE, archived, begin, run
from tests.pipelines.corpus.acquisition.crawl.loopback import FakeClock, Reply, Site, page, serve

CHILD = """
import sys, time
from pathlib import Path
from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.crawler import crawl
config = CrawlConfig(
    site="pydoc", seeds=("SEED",), allow_private_hosts=(HOSTS,), host_delays=dict.fromkeys((HOSTS,), 0.004),
    allow_hosts=tuple(sys.argv[3:]), warc_max_bytes=6000, retries=0,
)
crawl(
    config, Path(sys.argv[2]), base_url=sys.argv[1], clock=lambda: 1.7e9 + time.monotonic(), sleep=time.sleep,
    chance=lambda: 0.5,
)
"""
"""A crawl in a process of its own: base URL, folder, further hosts."""


class _Interrupt(BaseException):
    """Stands for any sudden end inside the process."""


def test_a_crawl_stopped_after_each_page_goes_on_and_gives_the_same_archive(tmp_path: Path) -> None:
    """Also when the site comes back on another port, the journal is torn, or the archive is shorter than it says."""
    robots = Reply(b"User-agent: *\nDisallow: /d", headers={"Content-Type": "text/plain"})
    with serve({**SITE, "/robots.txt": robots}) as site:
        expected = run(site, tmp_path / "whole", warc_max_bytes=1500)
        files = [path.read_bytes() for path in sorted((tmp_path / "whole").glob("*.gz"))]
        clock = FakeClock()
        for stop in range(1, 5):
            folder = tmp_path / f"stop{stop}"

            def interrupt(progress: Progress, stop: int = stop) -> None:
                if progress.pages == stop:
                    raise _Interrupt

            site.requests.clear()
            with pytest.raises(_Interrupt):
                begin(site, folder, clock, interrupt, warc_max_bytes=1500)
            with (folder / JOURNAL_NAME).open("ab") as journal:
                journal.write(b'{"event":"url","url":"/torn')
            assert run(site, folder, warc_max_bytes=1500) == expected
            assert [path.read_bytes() for path in sorted(folder.glob("*.gz"))] == files
            assert set(site.requests.values()) == {1}

        site.requests.clear()
        folder = tmp_path / "power"
        with pytest.raises(_Interrupt):
            begin(site, folder, clock, interrupt)
        (part,) = folder.glob("*.open")
        part.write_bytes(part.read_bytes()[:-100])  # a power cut took what the journal vouches for
        assert run(site, folder).outcomes == expected.outcomes
        assert archived(folder) == archived(tmp_path / "whole")
        assert sorted(site.requests.values()) == [1, 1, 1, 1, 2]

    site.requests.clear()
    folder = tmp_path / "moved"
    with serve({**SITE, "/robots.txt": robots}) as first, pytest.raises(_Interrupt):
        begin(first, folder, clock, lambda p: interrupt(p, 2))
    with serve({**SITE, "/robots.txt": robots}) as second:
        summary = run(second, folder)
    assert first.requests.keys().isdisjoint(second.requests)
    assert summary.outcomes == expected.outcomes
    assert archived(folder) == archived(tmp_path / "whole")


def test_kill_nine_again_and_again(tmp_path: Path) -> None:
    """A crawl in a process of its own, killed until it is through: no settled page is asked for twice."""
    tree = {
        f"/{n}": page(*(f"/{child}" for child in (2 * n + 1, 2 * n + 2) if child < 120), text="x" * 2000)
        for n in range(120)
    }
    program = CHILD.replace("HOSTS", "'127.0.0.1'").replace("SEED", "/0")
    kills = 0
    with serve(tree) as site:
        while True:
            before = site.requests.total()
            child = subprocess.Popen(
                [sys.executable, "-c", program, site.base, str(tmp_path)], cwd=Path(__file__).parents[5]
            )
            if kills < 6:
                while child.poll() is None and site.requests.total() < before + 13 + 2 * kills:
                    time.sleep(0.001)
                child.kill()
            child.wait(timeout=60)
            if child.returncode == 0:
                break
            assert child.returncode == -signal.SIGKILL
            kills += 1
    assert kills == 6
    assert archived(tmp_path) == [f"/{n}" for n in range(120)]
    settled = [json.loads(line) for line in (tmp_path / JOURNAL_NAME).read_bytes().splitlines()]
    assert [event["url"] for event in settled if event["event"] == "url"] == [f"/{n}" for n in range(120)]
    # One request was in flight at each kill; nothing that was settled is asked for again.
    assert sum(count - 1 for count in site.requests.values()) <= kills
    assert max(site.requests.values()) <= 2
    assert site.requests["/robots.txt"] == 1
    assert not list(tmp_path.glob("*.open"))


def test_a_kill_loses_nothing_that_waits_for_its_turn(tmp_path: Path) -> None:
    """Quick hosts are ahead of a slow one when the process dies: what they gave is on disk and not asked for again."""
    release = threading.Event()

    def slow(_: str) -> str:
        release.wait(20)
        return page(text="slow")

    program = CHILD.replace("HOSTS", "'127.0.0.1', 'localhost'").replace("SEED", "/")
    with serve({}, lambda path: page(text=path)) as quick:
        far = [f"http://localhost:{quick.port}/{number}" for number in range(5)]
        with serve({"/": page("/slow", *far), "/slow": slow}) as site:
            command = [sys.executable, "-c", program, site.base, str(tmp_path), f"localhost:{quick.port}"]
            child = subprocess.Popen(command, cwd=Path(__file__).parents[5])
            while len(list((tmp_path / SPOOL_NAME).glob("*.visit"))) < 5 and child.poll() is None:
                time.sleep(0.005)
            child.kill()
            child.wait()
            assert site.order == ["/robots.txt", "/", "/slow"]
            release.set()
            assert subprocess.run(command, cwd=Path(__file__).parents[5], check=False).returncode == 0
            assert quick.requests == Counter(dict.fromkeys(("/robots.txt", *(f"/{n}" for n in range(5))), 1))
            assert site.requests == Counter({"/robots.txt": 1, "/": 1, "/slow": 2})
    assert archived(tmp_path) == ["/", "/slow", "/0", "/1", "/2", "/3", "/4"]
    assert not (tmp_path / SPOOL_NAME).exists()


def test_a_crawl_that_is_stopped_keeps_what_its_last_requests_bring(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.pages == 1:
            raise _Interrupt

    with serve({}, lambda path: page(text=path)) as second, serve({}, lambda path: page(text=path)) as third:
        seeds = [f"http://{host}:{port}/{n}" for n in range(3) for host, port in _ports(second, third)]
        with serve({"/": page(*seeds)}) as site:
            common = {
                "allow_hosts": [f"{host}:{port}" for host, port in _ports(second, third)],
                "allow_private_hosts": ["127.0.0.1", "localhost"],
                "host_delays": {"127.0.0.1": 0, "localhost": 0},
                "concurrency": 4,
                "seeds": ["/", *seeds],
            }
            clock = FakeClock()
            with pytest.raises(_Interrupt):
                begin(site, tmp_path, clock, interrupt, **common)
            assert run(site, tmp_path, **common).outcomes == {"fetched": 7}
            for server in (site, second, third):
                assert set(server.requests.values()) == {1}


def _ports(second: Site, third: Site) -> list[tuple[str, int]]:
    return [("127.0.0.1", second.port), ("localhost", third.port)]
