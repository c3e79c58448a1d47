import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.corpus.filters.classifier.config import EnsembleConfig
from pipelines.corpus.filters.classifier.ensemble import Agreement, Member, agreement, combine, keeps, ranks_of

NAN = float("nan")
scores = st.lists(st.one_of(st.just(NAN), st.integers(0, 10).map(lambda n: n / 10)), min_size=1, max_size=12)


def config(method, members=("a", "b", "c"), buckets=4):
    return EnsembleConfig(members=members, method=method, buckets=buckets)


def test_a_rank_is_the_share_of_the_reference_below():
    reference = [0.0, 0.1, 0.1, 0.5, 1.0]
    found = ranks_of(np.array([-1, 0.05, 0.1, 0.6, 1.0, 2, NAN]), reference)
    assert found[:6] == pytest.approx([0, 0.2, 0.4, 0.8, 0.9, 1.0])
    assert np.isnan(found[6])


@given(
    st.lists(
        st.tuples(*[st.one_of(st.just(NAN), st.integers(0, 10).map(lambda n: n / 10))] * 3), min_size=1, max_size=12
    )
)
def test_every_method_equals_brute_force(rows):
    reference = [n / 20 for n in range(21)]
    thresholds = (0.3, 0.5, 0.8)
    columns = [np.array(column, float) for column in zip(*rows, strict=True)]
    members = {
        name: Member(column, ranks_of(column, reference), threshold)
        for name, column, threshold in zip("abc", columns, thresholds, strict=True)
    }
    found = {method: combine(members, config(method)) for method in ("max_bucket", "mean_rank", "majority")}
    for number, row in enumerate(rows):
        known = [place for place, value in enumerate(row) if not np.isnan(value)]
        if not known:
            assert all(np.isnan(values[number]) for values in found.values())
            continue
        ranks = [members["abc"[place]].ranks[number] for place in known]
        assert found["max_bucket"][number] == max(min(int(rank * 4), 3) for rank in ranks)
        assert found["mean_rank"][number] == pytest.approx(sum(ranks) / len(ranks))
        votes = [row[place] >= thresholds[place] for place in known]
        assert found["majority"][number] == pytest.approx(sum(votes) / len(votes))


def test_agreement_is_cohens_example():
    """Two readers of 50 proposals: 20 yes of both, 15 no of both, 5 and 10 apart: kappa 0.4."""
    assert Agreement(20, 5, 10, 15).kappa == pytest.approx(0.4)
    assert Agreement(5, 0, 0, 0).kappa is None and Agreement(0, 0, 0, 0).kappa is None


def test_agreement_counts_what_both_score():
    first = Member(np.array([0.9, 0.9, 0.1, 0.1, NAN]), np.zeros(5), 0.5)
    second = Member(np.array([0.3, 0.1, 0.3, 0.1, 0.3]), np.zeros(5), 0.2)
    assert agreement(first, second) == Agreement(1, 1, 1, 1)


@pytest.mark.parametrize(
    ("method", "threshold", "kept"),
    [
        ("majority", None, [False, False, True, False]),  # half of the votes is no majority
        ("mean_rank", None, [False, True, True, False]),
        ("max_bucket", 0.75, [False, False, True, False]),
    ],
)
def test_what_reports_count_as_kept(method, threshold, kept):
    values = np.array([0.25, 0.5, 1.0, NAN])
    assert keeps(values, config(method).model_copy(update={"threshold": threshold})).tolist() == kept
    assert keeps(np.array([1.0, 2.0, NAN]), config("max_bucket", buckets=4)).tolist() == [False, True, False]
