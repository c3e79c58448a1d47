"""What a project file may say about a crawl, and what it is told when it says it wrong."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.corpus.acquisition.crawl.config import CrawlConfig


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "needs `seeds`"),
        ({"seeds": ["/index.html"]}, "is no http"),
        ({"seeds": ["http://h/"], "sitemaps": ["/map.xml"]}, "is no http"),
        ({"sitemaps": ["robots"]}, "needs `seeds`"),
        ({"site": "pydoc"}, "allow_private_hosts"),
        ({"seeds": ["http://h/"], "user_agent": "a\r\nX: y"}, "one line"),
        ({"seeds": ["http://h/"], "allow": ["re:("]}, "not a regular expression"),
        ({"seeds": ["http://h/"], "max_page": 3}, "Extra inputs"),
        ({"seeds": ["http://h/"], "delay_seconds": -1}, "greater than or equal to 0"),
    ],
)
def test_mistakes_are_explained(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CrawlConfig(**values)


def test_sitemaps_are_a_start_of_their_own() -> None:
    assert CrawlConfig(sitemaps=("https://h/map.xml", "robots")).seeds == ()


def test_only_the_concurrency_stays_out_of_identity() -> None:
    first = CrawlConfig(seeds=("http://h/",))
    assert first.identity() == CrawlConfig(seeds=("http://h/",), concurrency=9, host_concurrency=2).identity()
    assert first.identity() != CrawlConfig(seeds=("http://h/",), delay_seconds=2.0).identity()
    assert all(field.description for field in CrawlConfig.model_fields.values())
