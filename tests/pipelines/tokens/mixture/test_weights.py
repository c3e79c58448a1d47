"""Weights and whole numbers: published vectors, caps, roles, and the quota arithmetic against a sort."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.tokens.mixture.config import MixtureConfig
from pipelines.tokens.mixture.quota import largest_remainder, phases, prefix_counts, rank
from pipelines.tokens.mixture.spec import MixtureError, PartTokens, group_streams
from pipelines.tokens.mixture.weights import WeightRow, resolve_weights, temperature_weights, unimax_weights


def _resolve(
    sizes: dict[str, int], examples: int, seen: frozenset[str] | None = None, **fields: object
) -> dict[str, WeightRow]:
    """Sizes are units by `source.batch`; a unit is 10 tokens here."""
    config = MixtureConfig(sequence_length=10, **fields)
    parts = [
        PartTokens(key, "0", f"digest {key}", key.split(".")[0], "any", size * 10 + 1, size)
        for key, size in sizes.items()
    ]
    streams = group_streams(parts, config, seen)
    units = {stream.name: (stream.tokens - 1) // 10 for stream in streams}
    return {row.stream: row for row in resolve_weights(streams, units, config, examples)}


def test_unimax_published_vector() -> None:
    sizes = [179955884499, 184595788282, 42541080893, 10027573389, 549707867]
    weights = unimax_weights(sizes, 250e9, 4)
    expected = [0.276921166635] * 3 + [0.160441174224, 0.008795325872]
    assert weights == pytest.approx(expected, abs=1e-12)


def test_temperature() -> None:
    assert temperature_weights([1, 3], 1) == [0.25, 0.75]
    assert temperature_weights([1, 16], 2) == pytest.approx([0.2, 0.8])
    assert temperature_weights([5, 1e12], float("inf")) == [0.5, 0.5]
    small = [n**0.3 for n in (10, 2000, 9)]
    assert temperature_weights([10, 2000, 9], 1 / 0.3) == pytest.approx([w / sum(small) for w in small])


def test_methods() -> None:
    sizes = {"a.1": 100, "b.1": 300}
    assert [row.examples for row in _resolve(sizes, 200).values()] == [50, 150]
    even = _resolve(sizes, 200, method="temperature", temperature=1e9)
    assert [row.examples for row in even.values()] == [100, 100]
    given_ = _resolve({**sizes, "c.1": 50}, 200, method="weights", weights={"a": 3, "b": 1})
    assert [row.examples for row in given_.values()] == [150, 50, 0]
    assert given_["c"].note == "left out: weight 0" and given_["a"].epochs == 1.5
    unimax = _resolve({"a.1": 10, "b.1": 300}, 200, method="unimax", max_epochs=2)
    assert [row.examples for row in unimax.values()] == [20, 180]
    assert [row.capped for row in unimax.values()] == [True, False]


def test_a_cap_gives_the_rest_to_the_others() -> None:
    rows = _resolve(
        {"a.1": 10, "b.1": 100, "c.1": 300}, 200, method="weights", weights={"a": 2, "b": 1, "c": 1}, max_epochs=3
    )
    assert [row.examples for row in rows.values()] == [30, 85, 85]
    assert rows["a"].capped and rows["a"].epochs == 3 and rows["a"].note == "held at 3 epochs"
    assert rows["a"].weight == 0.5 and rows["a"].share == 0.15 and not rows["b"].capped
    chained = _resolve(
        {"a.1": 10, "b.1": 20, "c.1": 900}, 200, method="weights", weights={"a": 3, "b": 1, "c": 1}, max_epochs=1
    )
    assert [row.examples for row in chained.values()] == [10, 20, 170]
    own = _resolve({"a.1": 10, "b.1": 100}, 100, method="weights", weights={"a": 1, "b": 1}, group_max_epochs={"a": 5})
    assert [row.examples for row in own.values()] == [50, 50]
    with pytest.raises(MixtureError, match=r"a: 100 examples, 30 allowed"):
        _resolve({"a.1": 10, "b.1": 100}, 200, method="weights", weights={"a": 1, "b": 1}, max_epochs=3, on_cap="error")
    with pytest.raises(MixtureError, match="330 examples is the most"):
        _resolve({"a.1": 10, "b.1": 100}, 331, max_epochs=3)


def test_replay() -> None:
    sizes = {"a.1": 100, "a.2": 40, "b.1": 300}
    rows = _resolve(sizes, 100, frozenset({"a.1", "b.1"}), replay=0.2)
    assert {name: row.examples for name, row in rows.items()} == {"new/a": 80, "replay/a": 5, "replay/b": 15}
    assert rows["new/a"].epochs == 2 and sum(row.weight for row in rows.values()) == pytest.approx(1)
    without = _resolve(sizes, 100, frozenset({"a.1", "b.1"}), replay=0)
    assert {name: row.examples for name, row in without.items() if row.examples} == {"new/a": 100}
    with pytest.raises(MixtureError, match="no new data"):
        _resolve(sizes, 100, frozenset(sizes))
    with pytest.raises(MixtureError, match="set replay to 0"):
        _resolve(sizes, 100, frozenset())
    with pytest.raises(MixtureError, match="role 'new'"):
        _resolve(sizes, 100, frozenset({"a.1", "b.1"}), method="weights", weights={"b": 1})


def test_short_streams_are_named() -> None:
    rows = _resolve({"a.1": 100, "b.1": 0}, 50)
    assert rows["b"].note == "shorter than one sequence" and rows["a"].examples == 50
    with pytest.raises(MixtureError, match=r"\['b'\] have a weight"):
        _resolve({"a.1": 100, "b.1": 0}, 50, method="weights", weights={"a": 1, "b": 1})
    with pytest.raises(MixtureError, match="empty"):
        _resolve({"b.1": 0}, 50)
    assert "rounds to 0" in _resolve({"a.1": 10_000, "b.1": 1}, 50)["b"].note


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(MixtureError, match="did you mean 'wiki'"):
        _resolve({"wiki.1": 10, "code.1": 10}, 5, method="weights", weights={"wikki": 1})
    with pytest.raises(MixtureError, match="there are"):
        _resolve({"wiki.1": 10}, 5, group_max_epochs={"zzz": 1})


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "weights"},
        {"weights": {"a": 1}},
        {"method": "weights", "weights": {"a": -1, "b": 2}},
        {"method": "weights", "weights": {"a": 0}},
        {"method": "weights", "weights": {"a": float("nan")}},
        {"group_max_epochs": {"a": 0}},
        {"temperature": 2},
    ],
)
def test_bad_configuration(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MixtureConfig(**fields)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=9).filter(lambda w: sum(w) > 0), st.integers(0, 10**12))
def test_largest_remainder_sums_and_stays_within_one(weights: list[float], total: int) -> None:
    counts = largest_remainder(weights, total)
    assert sum(counts) == total
    for weight, count in zip(weights, counts, strict=True):
        assert abs(count - weight / sum(weights) * total) < 1 + 1e-6 * total
        assert count == 0 or weight > 0 or total < len(weights)


def test_largest_remainder_by_hand() -> None:
    assert largest_remainder([0.5, 0.3, 0.2], 7) == [4, 2, 1]  # 3.5, 2.1, 1.4
    assert largest_remainder([1, 1, 1], 4) == [2, 1, 1]
    with pytest.raises(ValueError, match="not shares"):
        largest_remainder([0, 0], 3)


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=7))
def test_quota_equals_a_sort_by_time(totals: list[int]) -> None:
    phase, whole = phases(totals)
    assert len(set(phase)) == len(totals) and all(0 < p < whole for p in phase)
    events = sorted(
        (Fraction(number * whole + phase[stream], total), stream, number)
        for stream, total in enumerate(totals)
        for number in range(total)
    )
    counts = [0] * len(totals)
    assert prefix_counts(totals, 0) == counts
    for place, (_, stream, number) in enumerate(events):
        assert rank(totals, stream, number) == place
        counts[stream] += 1
        assert prefix_counts(totals, place + 1) == counts
    assert counts == totals


def test_quota_at_a_trillion() -> None:
    totals = [7 * 10**11, 2 * 10**11, 10**11 - 1, 1]
    for m in (1, 10**11 + 7, 10**12 - 1):
        counts = prefix_counts(totals, m)
        assert sum(counts) == m
        assert all(abs(count - m * total / 10**12) <= 2 for count, total in zip(counts, totals, strict=True))
    times = [rank(totals, 3, 0), rank(totals, 0, 7 * 10**11 - 1)]
    assert 0 < times[0] < times[1] <= 10**12 - 1


def test_small_streams_of_equal_size_do_not_fall_due_together() -> None:
    totals = [9000, *[20] * 50]
    for m in range(0, 10_000, 100):
        counts = prefix_counts(totals, m)
        assert abs(counts[0] - m * 0.9) <= 2
        assert all(abs(count - m * 0.002) < 1.5 for count in counts[1:])
