import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.dedup.judge import jaccard

small_sets = st.frozensets(st.integers(0, 12), min_size=1)


@settings(max_examples=500, deadline=None)
@given(
    small_sets, small_sets, st.sampled_from([0.05, 0.1, 0.25, 1 / 3, 0.4, 0.5, 0.6, 2 / 3, 0.7, 0.75, 0.8, 0.9, 1.0])
)
def test_true_jaccard_or_minus_one(a: frozenset[int], b: frozenset[int], threshold: float) -> None:
    values = np.array([0, *sorted(a), 99, *sorted(b)], np.uint64)
    found = jaccard(values, 1, 1 + len(a), values, 2 + len(a), 2 + len(a) + len(b), threshold)
    true = len(a & b) / len(a | b)
    assert found == (true if true >= threshold else -1.0)


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_similarity_equal_to_the_threshold_counts(percent: int) -> None:
    """Every two-digit threshold as written in a project file is reached by the fraction that it names."""
    common = np.arange(percent, dtype=np.uint64)
    a = np.arange(100, dtype=np.uint64)
    assert jaccard(common, 0, percent, a, 0, 100, percent / 100) == percent / 100
    if percent < 100:
        assert jaccard(common, 0, percent, a, 0, 100, (percent + 1) / 100) == -1.0
