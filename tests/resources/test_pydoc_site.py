"""Python's documentation server: safe pages only, nothing left behind, and a crawl of it."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from resources import pydoc_site as module
from resources.fetcher import run_crawl, wall_clock
from resources.pydoc_site import SiteError, pydoc_pages, pydoc_site

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(base: str, path: str) -> bytes:
    with DIRECT.open(base.rstrip("/") + path, timeout=20) as response:
        assert response.status == 200
        return bytes(response.read())


def test_pages_are_many_and_safe() -> None:
    pages = pydoc_pages()
    assert len(pages) >= 350
    assert len(set(pages)) == len(pages)
    assert {"/index.html", "/topic?key=ASSIGNMENT", "/topic?key=lambda", "/json.decoder.html", "/os.html"} <= set(pages)
    for name in (
        "antigravity",
        "this",
        "turtle",
        "tkinter",
        "winreg",
        "asyncio.windows_events",
        "json.__main__",
        "_thread",
    ):
        assert f"/{name}.html" not in pages
    assert not any(page.startswith(("/idlelib", "/test", "/turtledemo", "/lib2to3")) for page in pages)


def test_the_server_answers_its_pages_and_its_robots_trap(tmp_path: Path) -> None:
    pages = pydoc_pages()
    with pydoc_site(tmp_path) as base:
        assert b"Error" in get(base, "/robots.txt")
        for path in pages[:: len(pages) // 25]:
            body = get(base, path)
            assert b"<title>Pydoc: Error" not in body, path
        children = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
        (server,) = [child for child in children if str(tmp_path) == child.cwd()]
        assert os.getpgid(server.pid) == server.pid
        assert server.environ().keys() == {"HOME", "TMPDIR", "BROWSER", "PATH", "LC_ALL", "TERM"}
        assert server.environ()["BROWSER"] == "true"
    assert not server.is_running()


def test_the_server_dies_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from resources.pydoc_site import pydoc_site\n"
        "with pydoc_site(Path(sys.argv[1])) as base: print(base, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    assert parent.stdout.readline().startswith(b"http://127.0.0.1:")
    (server,) = psutil.Process(parent.pid).children()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    psutil.wait_procs([server], timeout=5)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


def test_a_server_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SERVE", "raise SystemExit('no documentation today')")
    with pytest.raises(SiteError, match=r"ended with code 1.*no documentation today"), pydoc_site(tmp_path):
        pass


def test_a_crawl_of_the_site(tmp_path: Path) -> None:
    config = CrawlConfig(
        site="pydoc",
        allow_private_hosts=("127.0.0.1",),
        host_delays={"127.0.0.1": 0},
        max_pages=20,
        allow=("/index.html", "/*s.html"),
    )
    summary = run_crawl(config, tmp_path)
    assert summary.pages == 20
    assert summary.robots == {"/": "open: html_page"}
    assert summary.bounded_by == "pages"
    assert sum(summary.outcomes.values()) == summary.urls_seen
    assert run_crawl(config, tmp_path) == summary


def test_the_clock_is_utc_and_goes_on() -> None:
    clock = wall_clock()
    first = clock()
    assert abs(first - time.time()) < 1
    assert clock() >= first
