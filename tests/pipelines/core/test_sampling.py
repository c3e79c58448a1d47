import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.documents import document_id
from pipelines.core.sampling import Sample, drawn_numbers, excerpt, id_bytes

IDS = [document_id("web.first", f"file#{number}") for number in range(500)]


def column(ids):
    return pa.array(ids, pa.binary(16))


@given(st.lists(st.integers(0, 499), unique=True, max_size=120), st.data())
@settings(max_examples=60)
def test_a_sample_is_the_same_however_its_rows_are_cut_and_ordered(chosen, data):
    """Equal to sorting everything by the numbers drawn."""
    ids = [IDS[number] for number in chosen]
    numbers = drawn_numbers(column(ids), 7, "kept")
    expected = [ids[place] for place in np.argsort(numbers, kind="stable")[:9]]
    shuffled = data.draw(st.permutations(ids))
    cut = data.draw(st.integers(0, len(ids)))
    sample = Sample(9, 7)
    for piece in (shuffled[:cut], shuffled[cut:]):
        sample.offer("kept", column(piece), lambda place, piece=piece: piece[place])
    assert sample.rows("kept") == expected


def test_rows_are_asked_for_only_when_they_win():
    asked = []
    sample = Sample(3)
    for start in range(0, 500, 50):
        piece = IDS[start : start + 50]
        sample.offer("kept", column(piece), lambda place, piece=piece: asked.append(piece[place]) or piece[place])
    assert len(sample.rows("kept")) == 3
    assert len(asked) <= 30, "at most the sample's size for each piece"


def test_numbers_are_even_over_ids_of_one_batch_and_depend_on_seed_and_name():
    numbers = drawn_numbers(column(IDS), 0, "kept")
    counts = np.histogram(numbers.astype(np.float64), 10, (0, 2.0**64))[0]
    assert ((counts - 50) ** 2 / 50).sum() < 27.9, "chi-squared of 9 degrees of freedom, one in a thousand"
    for other in (drawn_numbers(column(IDS), 1, "kept"), drawn_numbers(column(IDS), 0, "dropped")):
        assert abs(np.corrcoef(numbers.astype(float), other.astype(float))[0, 1]) < 0.15


def test_groups_are_apart_and_an_empty_sample_asks_nothing():
    sample = Sample(0)
    sample.offer("kept", column(IDS), lambda place: pytest.fail("nobody asked"))
    assert sample.rows("kept") == [] and list(sample.groups()) == []


def test_bytes_of_sliced_and_chunked_ids():
    chunked = pa.chunked_array([column(IDS[:3]), column(IDS[3:9]).slice(2)])
    assert [row.tobytes() for row in id_bytes(chunked)] == IDS[:3] + IDS[5:9]


def test_an_excerpt_is_one_line():
    assert excerpt("a\n\tb  c", 9) == "a b c"
    assert excerpt("word " * 100, 20) == "word word word word…"
