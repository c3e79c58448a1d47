"""Differences against brute force over multisets of documents."""

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.documents import document_id, text_hash
from pipelines.corpus.changes import Unchanged, Unit, differences


def units(documents):
    """Parts sorted by id, one document an id of a side; `documents` maps (batch, record) to (part, text)."""
    parts = {}
    for (batch, record), (part, text) in documents.items():
        parts.setdefault((batch, f"{part}"), []).append((document_id(f"{batch}.x", f"#{record}"), text_hash(f"{text}")))
    made = []
    for (batch, name), rows in sorted(parts.items()):
        rows.sort()
        columns = [pa.array([row[slot] for row in rows], pa.binary(16)) for slot in (0, 1)]
        table = pa.table(dict(zip(("id", "text_hash"), columns, strict=True)))
        made.append((Unit(batch, name, f"{rows}", len(rows), lambda table=table: table), rows))
    return [item[0] for item in made], [item[1] for item in made]


SIDE = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.integers(0, 6)), st.tuples(st.integers(0, 1), st.integers(0, 4)), max_size=12
)


@given(SIDE, SIDE)
@settings(max_examples=150, deadline=None)
def test_every_document_is_told_once_and_rightly(first, second):
    (before, left), (after, right) = units(first), units(second)
    same = Unchanged()
    seen = {"before": Counter(), "after": Counter()}
    kinds = Counter()
    for item in differences(before, after, same):
        for (old_unit, old_row), (new_unit, new_row) in zip(item.before.tolist(), item.after.tolist(), strict=True):
            kinds[item.kind] += 1
            old = left[old_unit][old_row] if old_unit >= 0 else None
            new = right[new_unit][new_row] if new_unit >= 0 else None
            for side, row in (("before", old), ("after", new)):
                if row is not None:
                    seen[side][row] += 1
            if item.kind == "changed":
                assert old[0] == new[0] and old[1] != new[1]
            elif item.kind == "moved":
                assert old[1] == new[1]
                assert old[0] != new[0] or before[old_unit].name != after[new_unit].name
            else:
                assert (old is None) == (item.kind == "added") and (new is None) == (item.kind == "removed")
    assert all(count == 1 for side in seen.values() for count in side.values())
    rows = [Counter(row for part in side for row in part) for side in (left, right)]
    in_place = sum(first[key] == second[key] for key in first.keys() & second.keys())
    assert same.documents == in_place
    assert sum(seen["before"].values()) == len(first) - in_place
    assert sum(seen["after"].values()) == len(second) - in_place
    # What is left after ids are matched moves by text as often as both sides have the text.
    gone = Counter(first[key][1] for key in first.keys() - second.keys())
    fresh = Counter(second[key][1] for key in second.keys() - first.keys())
    by_text = sum((gone & fresh).values())
    assert kinds["removed"] == sum(gone.values()) - by_text
    assert kinds["added"] == sum(fresh.values()) - by_text
    assert kinds["changed"] == sum(first[key][1] != second[key][1] for key in first.keys() & second.keys())
    assert rows[0].keys() >= seen["before"].keys()


def test_equal_parts_are_not_read():
    def refuse():
        raise AssertionError("read")

    unit = Unit("a", "00000", "digest", 7, refuse)
    same = Unchanged()
    assert list(differences([unit], [unit], same)) == []
    assert same.documents == 7


def test_ids_that_end_in_zero_bytes_stay_apart():
    ids = [bytes(15) + b"\x01", bytes(16), b"\x01" + bytes(15)]
    hashes = [bytes(16), b"\x02" + bytes(15), b"\x02\x00\x01" + bytes(13)]
    table = pa.table({"id": pa.array(sorted(ids), pa.binary(16)), "text_hash": pa.array(hashes, pa.binary(16))})
    one = Unit("a", "0", "x", 3, lambda: table)
    other = Unit("a", "0", "y", 2, lambda: table.slice(1))
    (found,) = differences([one], [other], same := Unchanged())
    assert (found.kind, found.before.tolist(), same.documents) == ("removed", [[0, 0]], 2)
    assert np.array_equal(found.after, [[-1, -1]])
