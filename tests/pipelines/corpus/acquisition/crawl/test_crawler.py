"""Whole crawls on loopback: robots, scope, bounds, traps, conservation, real sites, kills."""

import threading
import time
import uuid
from collections import Counter, deque
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin
from zipfile import ZipFile

import pytest

from pipelines.corpus.acquisition.crawl.crawler import crawl
from pipelines.corpus.acquisition.crawl.journal import JournalError
from pipelines.corpus.acquisition.crawl.summary import Progress
from tests.pipelines.corpus.acquisition.crawl.crawls import SITE, archived, begin, run, settings
from tests.pipelines.corpus.acquisition.crawl.loopback import FakeClock, Reply, page, serve, steady
from tests.shared_data import shared


def test_breadth_first_every_page_once(tmp_path: Path) -> None:
    reports: list[Progress] = []
    clock = FakeClock()
    with serve(SITE) as site:
        summary = begin(site, tmp_path, clock, reports.append)
    assert site.order == ["/robots.txt", "/", "/a", "/b", "/c", "/d"]
    assert archived(tmp_path) == site.order[1:]
    assert summary.outcomes == {"fetched": 5}
    assert summary.robots == {"/": "open: http_404"}
    assert summary.bounded_by is None
    assert [report.pages for report in reports] == [1, 2, 3, 4, 5]
    assert summary.bytes == sum(len(text) for text in SITE.values())


@pytest.mark.parametrize(
    ("robots", "outcomes"),
    [
        (Reply(b"<!DOCTYPE html><html>Error</html>"), {"fetched": 5}),
        (Reply(status=404), {"fetched": 5}),
        (Reply(status=500), {"robots:unreachable": 1}),
        (Reply(write=lambda handler: None), {"robots:unreachable": 1}),
        (
            Reply(b"User-agent: *\nDisallow: /b", headers={"Content-Type": "text/plain"}),
            {"fetched": 3, "robots:disallowed": 1},
        ),
        (
            Reply(b"User-agent: Gristmill\nDisallow: /", headers={"Content-Type": "text/plain"}),
            {"robots:disallowed": 1},
        ),
        (
            Reply(b"User-agent: *\nDisallow: /\n" + b"#" * 600_000, headers={"Content-Type": "text/plain"}),
            {"robots:disallowed": 1},
        ),
        (Reply(status=301, headers={"Location": "/elsewhere.txt"}), {"fetched": 3, "robots:disallowed": 1}),
        (Reply(status=301, headers={"Location": "/robots.txt"}), {"fetched": 5}),
    ],
)
def test_robots_decide(tmp_path: Path, robots: Reply, outcomes: dict[str, int]) -> None:
    elsewhere = Reply(b"User-agent: *\nDisallow: /b", headers={"Content-Type": "text/plain"})
    with serve({**SITE, "/robots.txt": robots, "/elsewhere.txt": elsewhere}) as site:
        assert run(site, tmp_path).outcomes == outcomes
    refused = outcomes.get("robots:disallowed", 0) and outcomes.get("fetched", 0)
    assert not refused or site.requests["/b"] == 0


@pytest.mark.parametrize(
    ("delays", "expected"), [({"127.0.0.1": 0}, []), ({"127.0.0.1": 0.5}, [0.5] * 5), ({}, [7.0] * 5)]
)
def test_the_pace_is_the_declared_one_else_the_longer_of_ours_and_theirs(
    tmp_path: Path, delays: dict[str, float], expected: list[float]
) -> None:
    robots = Reply(b"User-agent: *\nCrawl-delay: 7", headers={"Content-Type": "text/plain"})
    clock = FakeClock()
    with serve({**SITE, "/robots.txt": robots}) as site:
        run(site, tmp_path, clock, host_delays=delays)
    assert clock.slept == expected


def test_a_crawl_delay_longer_than_the_time_left_ends_the_crawl(tmp_path: Path) -> None:
    robots = Reply(b"User-agent: *\nCrawl-delay: 1e9", headers={"Content-Type": "text/plain"})
    clock = FakeClock()
    with serve({**SITE, "/robots.txt": robots}) as site:
        summary = run(site, tmp_path, clock, host_delays={})
    assert (summary.bounded_by, summary.outcomes, clock.slept) == ("seconds", {"bound:seconds": 1}, [])


@pytest.mark.parametrize(
    ("changes", "bound", "outcomes"),
    [
        ({"max_pages": 2}, "pages", {"fetched": 2, "bound:pages": 2}),
        ({"max_bytes": 1}, "bytes", {"fetched": 1, "bound:bytes": 2}),
        ({"max_seconds": 2.5, "host_delays": {}}, "seconds", {"fetched": 2, "bound:seconds": 2}),
        ({"max_depth": 1}, None, {"fetched": 3, "too_deep": 2}),
        ({"max_urls": 3}, None, {"fetched": 3, "bound:urls": 3}),
        ({"max_page_links": 1}, None, {"fetched": 3, "bound:links": 2}),
        ({"max_page_bytes": 10}, None, {"too_big": 1}),
        ({"deny": ["/b*"]}, None, {"fetched": 3, "not_allowed": 1}),
        ({"content_types": ["text/plain"]}, None, {"wrong_type": 1}),
    ],
)
def test_bounds(tmp_path: Path, changes: dict[str, Any], bound: str | None, outcomes: dict[str, int]) -> None:
    with serve(SITE) as site:
        summary = run(site, tmp_path, **changes)
    assert (summary.bounded_by, dict(summary.outcomes)) == (bound, dict(sorted(outcomes.items())))
    assert sum(site.requests.values()) <= 1 + sum(outcomes.values())
    if bound == "pages":
        assert sum(site.requests.values()) == 3  # no page is fetched only to be thrown away


def test_the_page_list_keeps_everything_else_unasked(tmp_path: Path) -> None:
    clock = FakeClock()
    with serve(SITE) as site:
        summary = crawl(
            settings(),
            tmp_path,
            base_url=site.base,
            clock=clock,
            sleep=clock.sleep,
            chance=steady,
            pages=["/", "/b", "/d", "/nowhere"],
        )
    assert site.order == ["/robots.txt", "/", "/b", "/d"]
    assert summary.outcomes == {"fetched": 3, "not_allowed": 2}


def test_redirects_are_archived_and_judged_like_links(tmp_path: Path) -> None:
    with serve({"/": "<p>other site"}) as other:
        routes = {
            "/": page("/moved", "/away", "/private", "/loop", "/bad", "/chain/0"),
            "/moved": Reply(status=301, headers={"Location": "/new"}),
            "/new": page(text="new"),
            "/away": Reply(status=302, headers={"Location": f"{other.base}/"}),
            "/private": Reply(status=302, headers={"Location": f"http://localhost:{other.port}/"}),
            "/loop": Reply(status=307, headers={"Location": "/loop"}),
            "/bad": Reply(status=308, headers={"Location": "javascript:alert(1)"}),
        }

        def chain(path: str) -> Reply:
            return Reply(status=302, headers={"Location": f"/chain/{int(path.rpartition('/')[2]) + 1}"})

        with serve(routes, chain) as site:
            summary = run(site, tmp_path, allow_hosts=[f"localhost:{other.port}"], max_redirects=3)
    assert summary.outcomes == {
        "error:private_address": 1,  # localhost is in scope, but not declared private
        "error:too_many_redirects": 1,
        "fetched": 2,
        "not_http": 1,
        "off_site": 1,
        "redirected": 9,
    }
    assert other.order == []
    assert {"/", "/moved", "/new", "/away", "/loop", "/chain/3"} <= set(archived(tmp_path))


def test_endless_sites_end(tmp_path: Path) -> None:
    def endless(path: str) -> str:
        plain = path.partition("?")[0]
        if plain.startswith("/cal/"):
            year, month = map(int, plain.split("/")[2:4])
            return page(f"/cal/{year + month // 12}/{month % 12 + 1:02d}", f"/cal/{year - 1}/{month:02d}")
        if plain.startswith("/named/"):
            year = int(plain.rpartition("-")[2])
            return page(f"/named/may-{year + 1}", f"/named/june-{year + 1}")
        if plain.endswith("/visit"):
            return page(
                f"/s/{uuid.UUID(int=len(site.order))}/visit", f"/s/{uuid.UUID(int=9**20 + len(site.order))}/visit"
            )
        if plain == "/session":
            return page(f"/session?PHPSESSID={len(site.order)}", f"/session;jsessionid={len(site.order)}")
        if plain == "/token":
            return page(f"/token?t{len(site.order)}=1")
        if plain.startswith("/deep"):
            return page(f"{plain}/{len(plain)}")
        return page(f"{plain.rstrip('/')}/again")

    with serve(
        {"/": page("/cal/2024/01", "/named/may-2024", "/visit", "/session", "/token", "/deep", "/again")}, endless
    ) as site:
        summary = run(
            site,
            tmp_path,
            max_depth=100,
            max_calendar_pages=10,
            max_session_pages=8,
            max_path_queries=6,
            max_seconds=60,
        )
    assert summary.bounded_by is None
    traps = {name: count for name, count in summary.outcomes.items() if name.startswith("trap:")}
    kinds = ("calendar", "deep_path", "path_queries", "repeated_segments", "session_path")
    assert set(traps) == {f"trap:{kind}" for kind in kinds}
    assert sum(path.startswith("/named/") for path in site.requests) == 10
    assert sum(path.endswith("/visit") for path in site.requests) == 9
    assert site.requests["/session"] == 1
    assert sum(path.startswith("/cal/") for path in site.requests) == 10
    assert sum(path.startswith("/token") for path in site.requests) == 7
    assert set(site.requests.values()) == {1}


def test_equal_responses_and_time_give_equal_archives(tmp_path: Path) -> None:
    with serve(SITE) as site:
        for name in ("a", "b"):
            run(site, tmp_path / name, warc_max_bytes=1500)
        run(site, tmp_path / "c", warc_max_bytes=1500, concurrency=4)
    files = {
        name: [(path.name, path.read_bytes()) for path in sorted((tmp_path / name).glob("*.gz"))] for name in "abc"
    }
    assert len(files["a"]) > 1
    assert files["a"] == files["b"] == files["c"]


def test_several_hosts_at_once_keep_the_order(tmp_path: Path) -> None:
    def slow(_: str) -> str:
        time.sleep(0.03)
        return page()

    with serve({}, slow) as second, serve({}, slow) as third:
        places = [
            f"http://{host}:{port}/{n}"
            for n in range(6)
            for host, port in (("127.0.0.1", second.port), ("localhost", third.port))
        ]
        with serve({"/": page(*places)}) as site:
            common = {
                "allow_hosts": [f"127.0.0.1:{second.port}", f"localhost:{third.port}"],
                "allow_private_hosts": ["127.0.0.1", "localhost"],
                "host_delays": {"127.0.0.1": 0, "localhost": 0},
            }
            one = run(site, tmp_path / "one", **common)
            four = run(site, tmp_path / "four", **common, concurrency=4)
    assert one.outcomes == four.outcomes == {"fetched": 13}
    assert archived(tmp_path / "one") == archived(tmp_path / "four")


def test_hosts_take_turns(tmp_path: Path) -> None:
    """The links of one host do not keep another one waiting: in the window they alternate."""
    with serve({}, lambda path: page()) as second:
        near, far = [f"/{n}" for n in range(5)], [f"http://localhost:{second.port}/{n}" for n in range(3)]
        with serve({"/": page(*near, *far)}, lambda path: page()) as site:
            run(
                site,
                tmp_path,
                allow_hosts=[f"localhost:{second.port}"],
                allow_private_hosts=["127.0.0.1", "localhost"],
                host_delays={"127.0.0.1": 0, "localhost": 0},
            )
    assert archived(tmp_path) == ["/", "/0", "/0", "/1", "/1", "/2", "/2", "/3", "/4"]


def test_a_page_that_names_another_as_canonical_is_kept_and_says_so(tmp_path: Path) -> None:
    routes = {"/": page("/a"), "/a": '<link rel="canonical" href="/b">', "/b": page()}
    with serve(routes) as site:
        summary = run(site, tmp_path)
    assert archived(tmp_path) == ["/", "/a"]
    (first, second) = summary.log.to_pylist()
    assert (first["canonical"], second["canonical"], second["outcome"]) == (None, "/b", "fetched")
    size = (tmp_path / summary.files[second["stored_in"]]).stat().st_size
    assert 0 < first["stored_to"] < second["stored_to"] == size


def test_a_finished_crawl_is_returned_without_a_request(tmp_path: Path) -> None:
    with serve(SITE) as site:
        first = run(site, tmp_path, max_pages=3)
        asked = list(site.order)
        with serve(SITE) as elsewhere:
            assert run(elsewhere, tmp_path, max_pages=3) == first
            assert elsewhere.order == []
        assert site.order == asked
        with pytest.raises(JournalError, match="another config"):
            run(site, tmp_path, max_pages=4)


def test_one_folder_one_crawl(tmp_path: Path) -> None:
    caught: list[str] = []

    def nested(_: str) -> str:
        try:
            run(site, tmp_path)
        except JournalError as error:
            caught.append(str(error))
        return page()

    with serve({"/": nested}) as site:
        run(site, tmp_path)
    assert len(caught) == 1
    assert "another crawl is writing" in caught[0]


class _Links(HTMLParser):
    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and values.get("href") and "nofollow" not in (values.get("rel") or ""):
            self.found.append(urldefrag(urljoin(self.base, values["href"]))[0])


@pytest.mark.parametrize(
    ("name", "seed"),
    [("python_docs_en.zip", "/tutorial/index.html"), ("debian_faq_en_zh_ja_fr.zip", "/en/index.en.html")],
)
def test_real_sites_equal_a_plain_breadth_first_search(tmp_path: Path, name: str, seed: str) -> None:
    with ZipFile(shared(f"crawl_site/{name}")) as archive:
        bodies = {f"/{entry}": archive.read(entry) for entry in archive.namelist() if entry.endswith(".html")}
    with serve({path: Reply(body) for path, body in bodies.items()}) as site:
        summary = run(site, tmp_path, seeds=[seed])

    queue, known, missing, expected = deque([seed]), {seed}, 0, []
    while queue:
        path = queue.popleft()
        if path not in bodies:
            missing += 1
            continue
        expected.append(path)
        links = _Links(f"{site.base}{path}")
        links.feed(bodies[path].decode("utf-8", "replace"))
        for link in links.found:
            target = link.removeprefix(site.base)
            if target != link and target not in known:
                known.add(target)
                queue.append(target)
    assert len(expected) > 15
    assert archived(tmp_path) == expected
    assert summary.outcomes["fetched"] == len(expected)
    assert summary.outcomes.get("error:http_404", 0) == missing
    assert summary.bytes == sum(len(bodies[path]) for path in expected)


@pytest.mark.parametrize(("allowed", "most"), [(1, 1), (3, 3)])
def test_a_host_has_no_more_requests_at_once_than_it_may(tmp_path: Path, allowed: int, most: int) -> None:
    lock, running, peak = threading.Lock(), 0, 0

    def busy(path: str) -> str:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        time.sleep(0.03)
        with lock:
            running -= 1
        return page(text=path)

    with serve({"/": page(*(f"/{n}" for n in range(12)))}, busy) as site:
        summary = run(site, tmp_path, concurrency=6, host_concurrency=allowed)
        assert set(site.requests.values()) == {1}
    assert summary.outcomes == {"fetched": 13}
    assert peak == most
    assert archived(tmp_path) == ["/", *(f"/{n}" for n in range(12))]


def test_a_host_that_is_overloaded_rests(tmp_path: Path) -> None:
    """429 with a Retry-After beyond the longest wait: no second request for that URL, and a pause before the next."""
    clock = FakeClock()
    routes = {**SITE, "/a": Reply(status=429, headers={"Retry-After": "86400"})}
    with serve(routes) as site:
        summary = run(site, tmp_path, clock, retries=3, max_backoff_seconds=60.0)
    assert summary.outcomes == {"error:http_429": 1, "fetched": 4}
    assert site.requests["/a"] == 1
    assert clock.slept == [60.0]


@pytest.mark.parametrize(("moved", "slept"), [(False, [60.0]), (True, [])])
def test_a_host_that_is_overloaded_at_its_robots_txt_rests(tmp_path: Path, moved: bool, slept: list[float]) -> None:
    """Its other origin is left alone as well; what the target of a redirect on another host asks for binds that one."""
    clock = FakeClock()
    busy = Reply(status=503, headers={"Retry-After": "86400"})
    with serve({"/": page()}) as second, serve({"/robots.txt": busy}) as far:
        there = Reply(status=301, headers={"Location": f"http://localhost:{far.port}/robots.txt"})
        with serve({"/": page(), "/robots.txt": there if moved else busy}) as first:
            hosts = ["127.0.0.1", "localhost"]
            changes = {
                "allow_private_hosts": hosts,
                "host_delays": dict.fromkeys(hosts, 0),
                "max_backoff_seconds": 60.0,
            }
            summary = run(first, tmp_path, clock, seeds=[f"{first.base}/", f"{second.base}/"], **changes)
        assert far.requests.total() == moved
    assert summary.outcomes == {"robots:unreachable": 1, "fetched": 1}
    assert clock.slept == slept


@pytest.mark.parametrize(
    ("location", "outcome"),
    [
        ("http://localhost:{port}/robots.txt", "error:private_address"),  # declared is 127.0.0.1, not this name
        ("file:///etc/passwd", "fetched"),  # no robots.txt can be reached by redirects: RFC 9309 section 2.3.1.2
        ("http://127.0.0.1:{port}/rules.txt", "robots:disallowed"),
    ],
)
def test_a_robots_txt_that_redirects_is_judged_like_any_request(tmp_path: Path, location: str, outcome: str) -> None:
    rules = Reply(b"User-agent: *\nDisallow: /", headers={"Content-Type": "text/plain"})
    with serve({"/robots.txt": rules, "/rules.txt": rules}) as other:
        robots = Reply(status=301, headers={"Location": location.format(port=other.port)})
        with serve({"/": page(), "/robots.txt": robots}) as site:
            assert run(site, tmp_path).outcomes == {outcome: 1}
        assert other.requests == Counter({"/rules.txt": 1} if outcome == "robots:disallowed" else {})
