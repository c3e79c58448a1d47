import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from pipelines.evaluation.compare import PairingError, compare_domains, compare_tasks
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.perplexity import DOCUMENT_SCORES
from pipelines.evaluation.tasks import ITEM_SCORES

CONFIG = EvaluationConfig(bootstrap_samples=1000)


def scored(domains, shift=0.0, seed=0, noise=0.01):
    """`{domain: documents}`: shared difficulty per document, noise of this checkpoint, shift in bits per byte."""
    rows = []
    own = np.random.default_rng(seed)
    for domain, count in domains.items():
        common = np.random.default_rng(len(domain))
        for index in range(count):
            size = int(common.lognormal(7, 0.7)) + 1
            bits = common.normal(2, 0.3) + own.normal(0, noise) + shift
            rows.append(
                {
                    "id": f"{domain[:8]:8}{index:08d}".encode(),
                    "domain": domain,
                    "bytes": size,
                    "tokens": size // 4 + 1,
                    "nll": size * bits * math.log(2),
                }
            )
    return pa.Table.from_pylist(rows, DOCUMENT_SCORES)


@pytest.mark.parametrize(("shift", "verdict"), [(-0.1, "learned"), (0.1, "forgot"), (0.0, "within noise")])
def test_verdicts(shift, verdict):
    ((row,), _) = compare_domains(scored({"web": 50}), scored({"web": 50}, shift, seed=1), CONFIG)
    assert row.verdict == verdict
    assert row.delta.low < row.delta.value < row.delta.high
    assert row.delta.value == pytest.approx(row.round - row.base)
    assert row.relative == pytest.approx(row.delta.value / row.base)


def test_equal_checkpoints_are_within_noise():
    ((row,), _) = compare_domains(scored({"web": 20}), scored({"web": 20}), CONFIG)
    assert (row.verdict, row.delta.value, row.perplexity_ratio) == ("within noise", 0.0, 1.0)


def test_the_false_alarm_rate_is_about_five_percent():
    verdicts = [
        compare_domains(scored({"web": 40}, seed=2 * trial + 1), scored({"web": 40}, seed=2 * trial + 2), CONFIG)[0][0]
        for trial in range(120)
    ]
    assert sum(row.verdict != "within noise" for row in verdicts) <= 15  # P(more | 7 % each) < 1 %


def test_pairing_is_narrower_than_two_separate_intervals_and_equals_scipy():
    base, round_ = scored({"web": 60}), scored({"web": 60}, -0.02, seed=3)
    ((row,), _) = compare_domains(base, round_, CONFIG)
    before, after, size = (
        np.array(table[name].to_pylist(), float) for table, name in ((base, "nll"), (round_, "nll"), (base, "bytes"))
    )
    oracle = stats.bootstrap(
        (after - before, size * math.log(2)),
        lambda y, x, axis: y.sum(axis=axis) / x.sum(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=5000,
        rng=1,
    )
    width = row.delta.high - row.delta.low
    assert (row.delta.low, row.delta.high) == pytest.approx(tuple(oracle.confidence_interval), abs=0.1 * width)
    assert row.delta.stderr == pytest.approx(oracle.standard_error, rel=0.15)
    assert row.verdict == "learned"
    assert width < 0.2 * 2 * 1.96 * np.std(before / size / math.log(2)) / math.sqrt(60)


def test_perplexity_ratio_is_of_the_tokens():
    base, round_ = scored({"web": 10}), scored({"web": 10}, 0.05, seed=4)
    ((row,), _) = compare_domains(base, round_, CONFIG)
    change = (sum(round_["nll"].to_pylist()) - sum(base["nll"].to_pylist())) / sum(base["tokens"].to_pylist())
    assert row.perplexity_ratio == pytest.approx(math.exp(change))
    other = round_.set_column(3, "tokens", pa.array([9] * 10, pa.int64()))
    assert compare_domains(base, other, CONFIG)[0][0].perplexity_ratio is None


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_documents_have_no_verdict(count):
    ((row,), _) = compare_domains(scored({"web": count}), scored({"web": count}, 0.5, seed=1), CONFIG)
    assert row.verdict == "too few documents"
    assert (row.delta.low is None) == (count == 1)


def test_empty_documents_and_broken_scores():
    base = scored({"web": 8})
    empty = pa.Table.from_pylist(
        [{"id": b"e" * 16, "domain": "void", "bytes": 0, "tokens": 0, "nll": 0.0}], DOCUMENT_SCORES
    )
    broken = base.set_column(4, "nll", pa.array([None, *base["nll"].to_pylist()[1:]], pa.float64()))
    rows, _ = compare_domains(pa.concat_tables([base, empty]), pa.concat_tables([broken, empty]), CONFIG)
    assert [(row.domain, row.verdict, row.delta.value) for row in rows] == [
        ("void", "too few documents", None),
        ("web", "undefined", None),
    ]


def test_means_of_new_and_old_domains():
    base = scored({"web": 40, "books": 40, "code": 40})
    parts = [
        scored({"web": 40}, -0.2, seed=1), scored({"books": 40}, 0.04, seed=2), scored({"code": 40}, 0.02, seed=3)
    ]  # fmt: skip
    rows, summaries = compare_domains(base, pa.concat_tables(parts), CONFIG, new_domains=["web"])
    by_domain = {row.domain: row for row in rows}
    new, old = summaries
    assert (by_domain["web"].role, by_domain["code"].role) == ("new", "old")
    assert (new.role, new.verdict, new.delta.value) == ("new", "learned", by_domain["web"].delta.value)
    assert old.delta.value == pytest.approx((by_domain["books"].delta.value + by_domain["code"].delta.value) / 2)
    assert (old.verdict, old.domains) == ("forgot", 2)
    stderr = math.hypot(by_domain["books"].delta.stderr, by_domain["code"].delta.stderr) / 2
    assert old.delta.stderr == pytest.approx(stderr, rel=0.15)


def test_rows_that_do_not_pair_are_refused():
    base = scored({"web": 8})
    with pytest.raises(PairingError, match="different rows"):
        compare_domains(base, base.slice(1), CONFIG)
    with pytest.raises(PairingError, match="repeat"):
        compare_domains(base, pa.concat_tables([base, base.slice(0, 1)]), CONFIG)
    with pytest.raises(PairingError, match="bytes are"):
        compare_domains(base, base.set_column(2, "bytes", pa.array([1] * 8, pa.int64())), CONFIG)


def test_row_order_does_not_matter():
    base, round_ = scored({"web": 30}), scored({"web": 30}, 0.01, seed=9)
    shuffled = round_.take(pa.array(np.random.default_rng(0).permutation(30)))
    assert compare_domains(base, shuffled, CONFIG) == compare_domains(base, round_, CONFIG)


def items(right, group=None):
    return pa.Table.from_pylist(
        [
            {
                "task": "quiz",
                "item": str(index),
                "group": group(index) if group else None,
                "gold": 0,
                "picked": 0,
                "picked_norm": 0,
                "acc": float(hit),
                "acc_norm": float(hit),
                "acc_bytes": float(hit),
                "tied": False,
                "truncated": 0,
                "log_likelihoods": [-1.0, -2.0, -3.0, -4.0],
            }
            for index, hit in enumerate(right)
        ],
        ITEM_SCORES,
    )


def test_tasks_are_paired_by_item():
    base = items([1, 0] * 50, group=lambda i: "zh" if i % 4 == 0 else "en")
    better = items([1] * 75 + [1, 0] * 12 + [1], group=lambda i: "zh" if i % 4 == 0 else "en")
    rows = compare_tasks(base, better, CONFIG)
    acc = rows[0]
    assert (acc.task, acc.metric, acc.items, acc.verdict, acc.random) == ("quiz", "acc", 100, "learned", 0.25)
    assert acc.delta.value == pytest.approx(np.mean(better["acc"].to_pylist()) - 0.5)
    assert {(row.group, row.metric) for row in rows} == {
        (group, metric) for group in (None, "en", "zh") for metric in ("acc", "acc_norm", "acc_bytes")
    }
    worse = compare_tasks(better, base, CONFIG)[0]
    assert worse.verdict == "forgot"
    assert compare_tasks(base, base, CONFIG)[0].verdict == "within noise"


def test_few_items_have_no_verdict():
    assert compare_tasks(items([1, 0]), items([0, 0]), CONFIG)[0].verdict == "too few items"
    assert compare_tasks(items([]), items([]), CONFIG) == ()
