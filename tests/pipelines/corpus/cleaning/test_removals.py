import pyarrow as pa
import pytest

from pipelines.corpus.cleaning.removals import REMOVAL_SCHEMA, BadRemovalError, expand_removals, removed_mask
from tests.pipelines.corpus.cleaning.records import documents

URLS = ["https://a.b/c", "https://a.b/cd", "https://a.b/C", "http://a.b/c", "https://x.y/一/2", "https://x.y/二"]
TABLE = documents(["t"] * 6, key="site.one", urls=URLS)


def requests(*rows: tuple[str, str]) -> pa.Table:
    return pa.table({"kind": [r[0] for r in rows], "value": [r[1] for r in rows]}, schema=REMOVAL_SCHEMA)


@pytest.mark.parametrize(
    ("kind", "value", "rows"),
    [
        ("url", "https://a.b/c", [0]),
        ("url", "https://a.b/", []),
        ("url_prefix", "https://a.b/c", [0, 1]),
        ("url_prefix", "https://x.y/一/", [4]),
        ("source", "site", [0, 1, 2, 3, 4, 5]),
        ("source", "sit", []),
        ("id", TABLE["id"][3].as_py().hex(), [3]),
        ("id", TABLE["id"][3].as_py().hex().upper(), [3]),
    ],
)
def test_requests_match_exactly(kind: str, value: str, rows: list[int]) -> None:
    mask = removed_mask(TABLE, requests((kind, value)))
    assert [row for row, hit in enumerate(mask) if hit] == rows


def test_no_request_and_documents_without_url() -> None:
    assert not removed_mask(TABLE, requests()).any()
    assert not removed_mask(documents(["t"]), requests(("url_prefix", "h"), ("url", "https://a.b/c"))).any()


@pytest.mark.parametrize(
    ("kind", "value"), [("uri", "x"), ("id", "12"), ("id", "é" * 32), ("id", " " * 32), ("url", "")]
)
def test_a_request_that_cannot_be_applied_stops_with_its_row(kind: str, value: str) -> None:
    with pytest.raises(BadRemovalError, match="removal 1"):
        removed_mask(TABLE, requests(("source", "other"), (kind, value)))


def test_a_request_for_one_copy_takes_the_whole_group_across_batches() -> None:
    """1 and 4 are copies of 0, so is a row of a later batch; 5 is a copy of 2. Asking for 4 by URL takes 0, 1, 4."""
    later = documents(["t"], key="site.two", urls=["https://z/"])
    key = [value.as_py() for value in TABLE["id"]]
    ids = pa.binary(16)
    first = pa.table(
        {"id": pa.array([key[1], key[4], key[5]], ids), "leader_id": pa.array([key[0], key[0], key[2]], ids)}
    )
    second = pa.table({"id": later["id"], "leader_id": pa.array([key[0]], ids)})
    expanded = expand_removals(requests(("url", URLS[4])), [TABLE, later], [first, second])
    assert expanded == expand_removals(requests(("url", URLS[4])), [later, TABLE], [second, first])
    mask = removed_mask(TABLE, expanded)
    assert [row for row, hit in enumerate(mask) if hit] == [0, 1, 4]
    assert removed_mask(later, expanded).to_list() == [True]
    assert ("url", URLS[4]) in {(row["kind"], row["value"]) for row in expanded.to_pylist()}
    untouched = expand_removals(requests(("url", "https://nowhere/")), [TABLE], [first])
    assert untouched.to_pylist() == [{"kind": "url", "value": "https://nowhere/"}]
