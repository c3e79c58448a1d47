import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.fingerprint import rows_digest
from pipelines.core.seeds import generator
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.index import (
    BAND_SCHEMA,
    LEADER_SCHEMA,
    ROLES,
    SHARDS,
    BandRows,
    BrokenChainError,
    Candidates,
    IndexEntry,
    check_chain,
    compact,
    earliest,
    entry_tables,
    in_memory,
    lookup,
    skip_entry,
    take_leaders,
)

DEFAULT = DedupConfig()


def leaders(ordinal: int, count: int) -> pa.Table:
    columns = [
        pa.array([ordinal] * count, pa.int32()),
        pa.array(range(count), pa.int32()),
        pa.array(range(count), pa.int32()),
        pa.array([bytes([ordinal, n]) + bytes(14) for n in range(count)], pa.binary(16)),
        pa.array([bytes(16)] * count, pa.binary(16)),
        pa.array([10] * count, pa.uint32()),
    ]
    return pa.table(columns, schema=LEADER_SCHEMA)


def band_rows(rows: list[tuple[int, int, int, int]]) -> BandRows:
    """From (hash, band, document, n_shingles)."""
    columns = np.array(rows, dtype=object).reshape(-1, 4).T
    kinds = (np.uint64, np.uint8, np.int64, np.uint32)
    return BandRows(*(column.astype(kind) for column, kind in zip(columns, kinds, strict=True)))


row = st.tuples(
    st.sampled_from([0, 1, 2**59, 2**60 - 1, 2**60, 2**63, 2**64 - 1]),
    st.integers(0, 2),
    st.integers(0, 5),
    st.sampled_from([8, 10, 100]),
)


@settings(max_examples=80, deadline=None)
@given(
    indexed=st.lists(st.lists(row, max_size=30), max_size=4),
    queries=st.lists(row, max_size=20),
    max_candidates=st.integers(1, 4),
)
def test_lookup_is_brute_force(
    indexed: list[list[tuple[int, int, int, int]]], queries: list[tuple[int, int, int, int]], max_candidates: int
) -> None:
    config = DedupConfig(max_candidates=max_candidates)
    tables = [entry_tables(n, leaders(n, 6), band_rows(rows), config, None) for n, rows in enumerate(indexed)]
    expected = []
    for document in range(6):
        pairs = {
            (document, entry, leader)
            for hash_, band, asking, size in queries
            if asking == document
            for entry, rows in enumerate(indexed)
            for other, other_band, leader, other_size in rows
            if hash_ == other and band == other_band and min(size, other_size) / max(size, other_size) >= 0.8
        }
        expected += sorted(pairs)[: max_candidates + 1]
    entries = [in_memory(n, str(n), entry) for n, entry in enumerate(tables)]
    found = lookup(entries, band_rows(queries), config)
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 5)), max_size=40), st.integers(1, 5))
def test_earliest(pairs: list[tuple[int, int, int]], limit: int) -> None:
    columns = np.array(pairs, np.int64).reshape(-1, 3).T
    found = earliest(Candidates(*columns), limit)
    expected = [pair for d in range(4) for pair in sorted({p for p in pairs if p[0] == d})[:limit]]
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def random_rows(name: str, documents: int) -> BandRows:
    stream = generator(5, name)
    return BandRows(
        stream.integers(0, 2**64, 14 * documents, dtype=np.uint64),
        np.tile(np.arange(14, dtype=np.uint8), documents),
        np.repeat(np.arange(documents), 14),
        np.full(14 * documents, 10, np.uint32),
    )


def test_shards_are_sorted_and_hold_their_prefix() -> None:
    rows = random_rows("shards", 200)
    tables = entry_tables(3, leaders(3, 200), rows, DEFAULT, "before")
    assert tuple(tables) == ROLES
    assert sum(len(tables[role]) for role in SHARDS) == 14 * 200
    for shard, role in enumerate(SHARDS):
        table = tables[role]
        assert table.schema == BAND_SCHEMA
        hashes = table["hash"].to_numpy()
        assert np.all(hashes[1:] >= hashes[:-1])
        assert np.all(hashes >> np.uint64(60) == shard)
    assert tables["chain"].to_pylist()[0]["predecessor"] == "before"


def test_an_entry_does_not_depend_on_the_order_of_its_rows() -> None:
    rows = random_rows("order", 50)
    order = generator(0, "shuffle").permutation(len(rows.hash))
    for role, table in entry_tables(0, leaders(0, 50), rows, DEFAULT, None).items():
        other = entry_tables(0, leaders(0, 50), rows.take(order), DEFAULT, None)[role]
        assert rows_digest(table) == rows_digest(other)


def test_a_compacted_index_answers_the_same() -> None:
    rows = [random_rows(f"batch {n}", 40) for n in range(3)]
    entries = [
        in_memory(n, str(n), entry_tables(n, leaders(n, 40), r, DEFAULT, str(n - 1) if n else None))
        for n, r in enumerate(rows)
    ]
    merged = in_memory(2, "2", compact(entries))
    queries = BandRows(*(np.concatenate(columns) for columns in zip(rows[2], rows[0], strict=True)))
    several, one = lookup(entries, queries, DEFAULT), lookup([merged], queries, DEFAULT)
    assert len(several.document) > 0
    assert np.array_equal(several.document, one.document)
    named = [
        e.read("leaders")["id"][leader].as_py()
        for e, leader in zip([entries[n] for n in several.entry.tolist()], several.leader.tolist(), strict=True)
    ]
    assert merged.read("leaders")["id"].take(pa.array(one.leader)).to_pylist() == named


def test_take_leaders_reads_only_entries_that_were_hit() -> None:
    reads: list[int] = []

    def reader(ordinal: int) -> IndexEntry:
        def read(role: str) -> pa.Table:
            reads.append(ordinal)
            return leaders(ordinal, 5)

        return IndexEntry(ordinal, str(ordinal), read)

    taken = take_leaders([reader(n) for n in range(4)], np.array([1, 1, 3]), np.array([0, 4, 2]))
    assert reads == [1, 3]
    assert [value[:2] for value in taken["id"].to_pylist()] == [b"\1\0", b"\1\4", b"\3\2"]


def chain(*configs: DedupConfig) -> list[IndexEntry]:
    entries: list[IndexEntry] = []
    for n, config in enumerate(configs):
        before = entries[-1].digest if entries else None
        entries.append(in_memory(n, f"d{n}", skip_entry(n, config, before, "a test")))
    return entries


def test_a_chain_with_a_skip_entry_is_whole() -> None:
    check_chain(chain(DEFAULT, DEFAULT, DEFAULT), DEFAULT)
    assert chain(DEFAULT)[0].read("chain").to_pylist()[0]["skipped"] == "a test"


def test_operational_fields_do_not_break_a_chain() -> None:
    check_chain(chain(DEFAULT), DedupConfig(window_shingles=5))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (chain(DEFAULT, DedupConfig(threshold=0.7)), "ordinal 1 was made with other dedup settings"),
        (chain(DEFAULT, DEFAULT, DEFAULT)[::2], "ordinal 2 follows entry d1, not d0"),
        (chain(DEFAULT, DEFAULT)[1:], "follows entry d0, not None"),
        ([IndexEntry(4, "d0", chain(DEFAULT)[0].read)], "ordinal 4 says it is ordinal 0"),
    ],
)
def test_a_broken_chain_is_named(entries: list[IndexEntry], message: str) -> None:
    with pytest.raises(BrokenChainError, match=message):
        check_chain(entries, DEFAULT)
