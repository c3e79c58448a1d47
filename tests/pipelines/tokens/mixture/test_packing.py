"""Best-fit-decreasing packing: the published vectors, a brute-force packer, and the way back from tokens to rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tokens.mixture.packing import RowTable, best_fit, pack_stream


def _rows(table: RowTable, tokens: list[int]) -> list[list[int]]:
    return [
        [token for start, length in table.spans(unit) for token in tokens[start : start + length]]
        for unit in range(table.units)
    ]


@pytest.mark.parametrize(
    ("long_documents", "expected"),
    [
        ("truncate", [[1, 2, 3, 4], [8, 9, 10, 11], [6, 7]]),
        ("split", [[1, 2, 3, 4], [8, 9, 10, 5], [6, 7, 11]]),
    ],
)
def test_published_vectors(long_documents: str, expected: list[list[int]]) -> None:
    table = pack_stream([np.array([5, 2, 3, 1], dtype=np.int32)], 4, long_documents)
    assert _rows(table, list(range(1, 12))) == expected


def _brute(lengths: list[int], capacity: int) -> list[int]:
    """Best fit by looking at every row: the least room that takes the piece, the last to get that room first."""
    room: list[tuple[int, int]] = []
    found = []
    for clock, length in enumerate(lengths):
        fitting = [(left, -touched, row) for row, (left, touched) in enumerate(room) if left >= length]
        row = min(fitting)[2] if fitting else len(room)
        if not fitting:
            room.append((capacity, clock))
        room[row] = (room[row][0] - length, clock)
        found.append(row)
    return found


@settings(deadline=None)
@given(st.integers(1, 200).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(1, c), max_size=80))))
def test_best_fit_equals_brute_force(given_: tuple[int, list[int]]) -> None:
    capacity, lengths = given_
    for order in (lengths, sorted(lengths, reverse=True)):
        assert best_fit(np.array(order, dtype=np.int64), capacity).tolist() == _brute(order, capacity)


@settings(deadline=None, max_examples=60)
@given(
    parts=st.lists(st.lists(st.integers(1, 40), max_size=25), max_size=4),
    capacity=st.integers(1, 30),
    long_documents=st.sampled_from(["split", "truncate"]),
)
def test_rows_hold_every_document_once(parts: list[list[int]], capacity: int, long_documents: str) -> None:
    arrays = [np.array(part, dtype=np.int32) for part in parts]
    table = pack_stream(arrays, capacity, long_documents)
    total = sum(map(sum, parts))
    used = np.zeros(total, dtype=int)
    row_of = np.full(total, -1)
    for unit in range(table.units):
        spans = table.spans(unit)
        assert 0 < sum(length for _, length in spans) <= capacity
        for start, length in spans:
            used[start : start + length] += 1
            row_of[start : start + length] = unit
    start = 0
    for length in (length for part in parts for length in part):
        kept = length if long_documents == "split" else min(length, capacity)
        assert (used[start : start + kept] == 1).all() and (used[start + kept : start + length] == 0).all()
        if length <= capacity:
            assert len(set(row_of[start : start + length].tolist())) == 1
        start += length
    for first, last in ((0, total), (3, 9), (total // 2, total // 2 + 1), (5, 5)):
        expected = sorted(set(row_of[first:last].tolist()) - {-1})
        assert table.units_of(first, last) == expected
    # A part that arrives later changes no row before it.
    shorter = pack_stream(arrays[:-1], capacity, long_documents)
    assert [table.spans(unit) for unit in range(shorter.units)] == [shorter.spans(u) for u in range(shorter.units)]


def test_row_tables_as_arrays() -> None:
    table = pack_stream([np.array([5, 2, 3, 1], dtype=np.int32)], 4, "split")
    again = RowTable.from_arrays(table.arrays())
    assert all(np.array_equal(getattr(again, name), getattr(table, name)) for name in RowTable._fields)
    assert {name: array.dtype.str for name, array in table.arrays().items()} == {
        "row_offsets": "<i8",
        "starts": "<i8",
        "lengths": "<i4",
        "by_start": "<i8",
    }
    assert table.fill(4) == 11 / 12
    with pytest.raises(ValueError, match="neither"):
        pack_stream([], 4, "drop")
    with pytest.raises(ValueError, match="no token"):
        pack_stream([np.array([0], dtype=np.int32)], 4, "split")
