import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.decontamination.inverted_index import build_index, count_shared

HASHES = st.sets(st.integers(0, 40).map(lambda n: n * 0x9E3779B97F4A7C15 % 2**64), max_size=20)


@settings(max_examples=150, deadline=None)
@given(st.lists(HASHES, min_size=1, max_size=6), st.lists(HASHES, max_size=6), st.randoms())
def test_counts_equal_set_intersections(owners: list[set[int]], texts: list[set[int]], random: object) -> None:
    pairs = [(value, owner) for owner, values in enumerate(owners) for value in values]
    random.shuffle(pairs)  # type: ignore[attr-defined]
    index = build_index(
        np.array([pair[0] for pair in pairs], np.uint64), np.array([pair[1] for pair in pairs], np.int32), len(owners)
    )
    flat = np.array([value for text in texts for value in sorted(text)], np.uint64)
    shared = count_shared(index, flat, np.cumsum([len(text) for text in texts], dtype=np.int64))
    expected = [
        (position, owner, len(text & values))
        for position, text in enumerate(texts)
        for owner, values in enumerate(owners)
        if text & values
    ]
    assert list(zip(*(column.tolist() for column in shared), strict=True)) == expected


def test_more_results_than_the_first_buffer_holds() -> None:
    hashes = np.repeat(np.arange(3, dtype=np.uint64) << np.uint64(61), 700)
    index = build_index(hashes, np.tile(np.arange(700, dtype=np.int32), 3), 700)
    texts = np.tile(np.array([0, 1 << 61], np.uint64), 9)
    shared = count_shared(index, texts, np.arange(2, 19, 2))
    assert len(shared.text) == 9 * 700 and set(shared.common.tolist()) == {2}
