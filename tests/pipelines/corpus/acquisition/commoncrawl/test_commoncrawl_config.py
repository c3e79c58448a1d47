"""Settings of a selection: what they refuse, and what they mean."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.core.fingerprint import digest_json
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.patterns import split_url


def make(**changes: Any) -> CommonCrawlConfig:
    return CommonCrawlConfig.model_validate({"crawls": ["CC-MAIN-2024-22"], "hosts": ["example.org"], **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crawls": []}, "at least 1"),
        ({"crawls": ["../../etc"]}, "no name of a crawl"),
        ({"hosts": []}, "a selection names"),
        ({"hosts": [], "languages": ["deu"]}, "a selection names"),
        ({"languages": ["de"]}, "no ISO 639-3 code"),
        ({"mime": ["html"]}, "no media type"),
        ({"tlds": ["co.uk"]}, "no top level domain; co.uk goes into `domains`"),
        ({"hosts": ["exa mple"]}, "names no host"),
        ({"urls": ["example.org*"]}, r"write example.org/\*"),
        ({"urls": ["*.example.org/a"]}, "stands at the end alone"),
        ({"fetched_from": "May"}, "no date or time"),
        ({"fetched_from": "2024-06-01", "fetched_to": "2024-05-01"}, "nothing could match"),
        ({"index_url": "ftp://x"}, "no http"),
        ({"data_url": "https://h/?x"}, "leave out"),
        ({"user_agent": "a\r\nb"}, "one line"),
    ],
)
def test_mistakes_are_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make(**changes)


def test_a_language_alone_is_for_the_columnar_index() -> None:
    assert make(hosts=[], languages=["deu"], index="columnar").patterns() == ()


@pytest.mark.parametrize(
    ("first", "last", "stamps"),
    [
        ("2024-05-18", "2024-05-18", ("20240518000000", "20240518235959")),
        (date(2024, 5, 18), date(2024, 5, 19), ("20240518000000", "20240519235959")),
        (datetime(2024, 5, 18, 6, tzinfo=UTC), "2024-05-18T08:00:00+02:00", ("20240518060000", "20240518060000")),
        (None, None, ("0", "9")),
    ],
)
def test_times(first: Any, last: Any, stamps: tuple[str, str]) -> None:
    config = make(fetched_from=first, fetched_to=last)
    assert (config.first_stamp(), config.last_stamp()) == stamps
    again = CommonCrawlConfig.model_validate(config.model_dump())
    assert again == config and digest_json(again.identity()) == digest_json(config.identity())


def test_places_and_pace_are_no_part_of_the_identity() -> None:
    other = make(index_url="http://mirror", data_url="s3://bucket", concurrency=7, gap_bytes=0, retries=1)
    assert other.identity() == make().identity() != make(seed=1).identity()


@pytest.mark.parametrize(
    ("changes", "url", "expected"),
    [
        ({"hosts": ["Example.org"]}, "https://www2.example.org:8080/a", True),
        ({"hosts": ["www.example.org"]}, "http://example.org", True),
        ({"hosts": ["example.org"]}, "http://a.example.org/", False),
        ({"domains": ["*.example.org"]}, "http://a.b.example.org/", True),
        ({"domains": ["example.org"]}, "http://notexample.org/", False),
        ({"hosts": ["bücher.example"]}, "http://xn--bcher-kva.example/", True),
        ({"tlds": [".DE"]}, "https://x.de/", True),
        ({"tlds": ["de"]}, "https://x.de.com/", False),
        ({"urls": ["https://example.org/a?b=*"]}, "http://example.org/a?b=c", True),
        ({"urls": ["example.org/a"]}, "http://example.org/a?b=c", False),
        ({"urls": ["example.org"]}, "http://example.org/", True),
        ({"urls": ["example.org/*"]}, "http://example.org/", True),
    ],
)
def test_patterns(changes: dict[str, Any], url: str, expected: bool) -> None:
    (pattern,) = make(**{"hosts": [], **changes}).patterns()
    assert pattern.matches(*split_url(url)) is expected
