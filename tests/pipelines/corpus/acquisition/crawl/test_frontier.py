"""The frontier against a plain breadth-first search, and its law: seen = settled + queued."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.crawl.frontier import Frontier
from pipelines.corpus.acquisition.crawl.scope import Scope

graphs = st.lists(st.lists(st.integers(0, 11), max_size=5), min_size=12, max_size=12)


def frontier(window: int = 3, max_urls: int = 1000, **changes: object) -> Frontier:
    config = CrawlConfig(seeds=("http://h/0",), **changes)  # type: ignore[arg-type]
    return Frontier(Scope(config, {"h"}, None).verdict, window=window, max_urls=max_urls, max_redirects=2)


@settings(max_examples=150)
@given(graphs, st.integers(1, 9), st.integers(0, 4))
def test_settles_in_breadth_first_order_whatever_the_window(
    graph: list[list[int]], window: int, max_depth: int
) -> None:
    line = frontier(window, max_depth=max_depth)
    line.discover("http://h/0", 0)
    order = []
    while line.window():
        entry = line.window()[0]
        node = int(entry.url.removeprefix("http://h/"))
        order.append((node, entry.depth))
        line.settle("fetched")
        for child in graph[node]:
            line.discover(f"http://h/{child}", entry.depth + 1)
        assert line.seen == line.outcomes.total() + line.queued

    expected: list[tuple[int, int]] = []
    queue, known, deep = deque([(0, 0)]), {0}, 0
    while queue:
        node, depth = queue.popleft()
        expected.append((node, depth))
        for child in graph[node]:
            if child not in known:
                known.add(child)
                if depth + 1 > max_depth:
                    deep += 1
                else:
                    queue.append((child, depth + 1))
    assert order == expected
    assert line.outcomes["too_deep"] == deep
    assert line.seen == line.outcomes.total() == len(known)


@given(st.lists(st.text(max_size=12), max_size=30), st.integers(1, 20))
def test_every_link_is_counted_once(links: list[str], max_urls: int) -> None:
    line = frontier(max_urls=max_urls)
    for link in links:
        line.discover(link, 1)
        line.discover(f"http://h/{link}", 1)
    assert line.seen == line.outcomes.total() + line.queued
    line.settle_rest("bound:pages")
    assert line.seen == line.outcomes.total()
    assert len(line._hashes) <= max_urls


def test_a_redirect_to_the_same_page_is_followed_and_a_loop_ends() -> None:
    line = frontier()
    line.discover("http://h/a", 0)
    for hop, target in enumerate(["http://h/a?sid=1", "http://h/a?sid=2", "http://h/a?sid=3"]):
        entry = line.window()[0]
        assert entry.hops == hop
        line.settle("redirected")
        line.redirect(entry, target)
    assert not line.window()
    assert line.outcomes == {"redirected": 3, "error:too_many_redirects": 1}
    assert line.seen == 4


def test_a_redirect_to_a_known_page_adds_nothing() -> None:
    line = frontier()
    line.discover("http://h/a", 0)
    line.discover("http://h/b", 0)
    entry = line.window()[0]
    line.settle("redirected")
    line.redirect(entry, "http://h/b#top")
    line.redirect(entry, "http://h/a")
    assert [item.url for item in line.window()] == ["http://h/b"]


def test_scope_reasons() -> None:
    scope = Scope(
        CrawlConfig(seeds=("http://h/",), allow=("/docs/*", "re:/t\\?k=\\d+"), deny=("*.pdf",), max_depth=3),
        {"h"},
        None,
    )
    verdicts = {
        url: scope.verdict(url, url, depth)
        for url, depth in [
            ("http://h/docs/a", 1),
            ("http://h/docs/a.pdf", 1),
            ("http://h/t?k=12", 1),
            ("http://h/t?k=x", 1),
            ("http://h:81/docs/a", 1),
            ("http://other/docs/a", 1),
            ("http://h/docs/b", 4),
            ("http://h/docs/x/x/x", 1),
        ]
    }
    assert list(verdicts.values()) == [
        None,
        "not_allowed",
        None,
        "not_allowed",
        "off_site",
        "off_site",
        "too_deep",
        "trap:repeated_segments",
    ]


def test_budgets_of_calendars_and_queries() -> None:
    scope = Scope(CrawlConfig(seeds=("http://h/",), max_calendar_pages=3, max_path_queries=5), {"h"}, None)
    calendar = [scope.verdict(url, url, 0) for url in (f"http://h/cal/2024/{month:02d}" for month in range(1, 8))]
    assert calendar == [None] * 3 + ["trap:calendar"] * 4
    queries = [scope.verdict(url, url, 0) for url in (f"http://h/list?token={n}x" for n in range(8))]
    assert queries == [None] * 5 + ["trap:path_queries"] * 3
    scope = Scope(CrawlConfig(seeds=("http://h/",), max_session_pages=2), {"h"}, None)
    sessions = [scope.verdict(url, url, 0) for url in (f"http://h/s/{n}f14e45fceea167a5a/p" for n in range(4))]
    assert sessions == [None] * 2 + ["trap:session_path"] * 2
