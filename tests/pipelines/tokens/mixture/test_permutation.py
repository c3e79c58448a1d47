"""The permutation: a bijection for every n, keyed, and even."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, kstest

from pipelines.tokens.mixture.permutation import TABLE, Permutation


@settings(max_examples=60, deadline=None)
@given(
    n=st.one_of(st.integers(1, 300), st.integers(TABLE - 2, TABLE + 300), st.integers(1, 40_000)),
    seed=st.integers(0, 9),
)
def test_bijection_and_inverse(n: int, seed: int) -> None:
    permutation = Permutation(n, seed, "test")
    image = permutation.forward(np.arange(n))
    assert np.array_equal(np.sort(image), np.arange(n))
    assert np.array_equal(permutation.inverse(image), np.arange(n))


@settings(max_examples=80, deadline=None)
@given(n=st.integers(1, 1 << 62), values=st.lists(st.integers(0, (1 << 62) - 1), max_size=20))
def test_inverse_at_any_size(n: int, values: list[int]) -> None:
    permutation = Permutation(n, 1, "large", 3)
    index = np.array([value % n for value in values], dtype=np.int64)
    image = permutation.forward(index)
    assert ((image >= 0) & (image < n)).all()
    assert np.array_equal(permutation.inverse(image), index)
    assert np.array_equal(permutation.forward(image[::-1])[::-1], permutation.forward(image))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_every_order_of_few_elements_is_as_likely(n: int) -> None:
    draws = 60 * math.factorial(n)
    seen = Counter(tuple(Permutation(n, seed, "few").forward(np.arange(n)).tolist()) for seed in range(draws))
    statistic = sum((seen[order] - 60) ** 2 / 60 for order in itertools.permutations(range(n)))
    assert statistic < chi2.ppf(0.999, math.factorial(n) - 1)


@pytest.mark.parametrize("n", [TABLE, 5000, 70_001])
def test_positions_and_neighbours_are_even(n: int) -> None:
    """Where the first elements go, over seeds, and how far neighbours land from each other, within one permutation."""
    first = np.stack([Permutation(n, seed, "even").forward(np.arange(8)) for seed in range(800)])
    counts = np.stack([np.bincount(first[:, place] * 16 // n, minlength=16) for place in range(8)])
    assert ((counts - 50) ** 2 / 50).sum() < chi2.ppf(0.9999, 8 * 15)
    image = Permutation(n, 3, "even").forward(np.arange(n))
    distance = (np.diff(image) % n) / n
    assert kstest(distance, "uniform").pvalue > 1e-4


def test_names_and_seeds_give_other_orders() -> None:
    orders = {
        tuple(Permutation(n, seed, *names).forward(np.arange(20)).tolist())
        for n in (1000, 10_000)
        for seed in (1, 2)
        for names in (("a", 1), ("a", 2), ("b", 1))
    }
    assert len(orders) == 12


def test_pinned_values() -> None:
    """A mixture that was planned must keep its order: raise FEISTEL's version when these change."""
    assert Permutation(10, 7, "pin").forward(np.arange(10)).tolist() == [7, 1, 3, 0, 8, 6, 9, 2, 5, 4]
    assert Permutation(1_000_003, 7, "pin").forward([0, 1, 2, 1_000_002]).tolist() == [131625, 797756, 183078, 167730]


def test_outside_is_refused() -> None:
    with pytest.raises(IndexError):
        Permutation(5, 0).forward([5])
    with pytest.raises(IndexError):
        Permutation(5000, 0).inverse([-1])
    with pytest.raises(ValueError, match="must lie in"):
        Permutation(0, 0)
