import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.perplexity import DOCUMENT_SCORES, choose_documents, rolling_windows, score_documents
from tests.pipelines.evaluation.models import bigram, byte_encode, whole_context


def documents(texts, domain="web"):
    domains = [domain] * len(texts) if isinstance(domain, str) else domain
    ids = [index.to_bytes(16, "big") for index in range(len(texts))]
    return pa.table({"id": pa.array(ids, pa.binary(16)), "domain": domains, "text": texts})


def reference_windows(tokens, prefix, longest, context):
    """lm-eval's rolling windows, re-derived: predictions with at least `context` tokens before them."""
    step, done, windows = longest - context + 1, 0, []
    stream = [prefix, *tokens]
    while done < len(tokens):
        size = min(len(tokens) - done, longest if done == 0 else step)
        end = done + size
        windows.append((stream[max(0, end - longest) : end], tokens[done:end]))
        done = end
    return windows


@given(
    st.lists(st.integers(1, 99), max_size=60),
    st.integers(1, 12).flatmap(lambda window: st.tuples(st.just(window), st.integers(1, window))),
)
def test_windows_equal_the_rolling_windows_of_lm_eval_and_score_every_token_once(tokens, sizes):
    window, stride = sizes
    ours = [(list(r.inputs), list(r.targets)) for r in rolling_windows(tokens, 0, window, stride)]
    assert ours == reference_windows(tokens, 0, window, window - stride + 1)
    assert [token for _, targets in ours for token in targets] == tokens
    assert all(len(targets) <= len(inputs) <= window for inputs, targets in ours)


def test_windows_of_the_published_example():
    """34 tokens, windows of 10: the vector of lm-eval's own test."""
    windows = [(list(r.inputs), list(r.targets)) for r in rolling_windows(list(range(100, 134)), -100, 10, 10)]
    assert windows == [
        ([-100, *range(100, 109)], list(range(100, 110))),
        (list(range(109, 119)), list(range(110, 120))),
        (list(range(119, 129)), list(range(120, 130))),
        (list(range(123, 133)), list(range(130, 134))),
    ]


def brute_force_nll(log_probs, tokens, window, stride):
    """One forward pass per token, batch of one, with exactly the context its window gives it."""
    total, done, stream = 0.0, 0, [0, *tokens]
    while done < len(tokens):
        end = min(len(tokens), done + (window if done == 0 else stride))
        start = max(0, end - window)
        for position in range(done, end):
            inputs = np.array([stream[start : position + 1]], np.int64)
            targets = np.zeros_like(inputs)
            targets[0, -1] = tokens[position]
            total -= float(log_probs(inputs, targets, np.ones_like(inputs, bool))[0, -1])
        done = end
    return total


@pytest.mark.parametrize(("window", "stride"), [(16, None), (16, 5), (7, 7), (1, 1), (200, None)])
@pytest.mark.parametrize("batch_tokens", [1, 64, 4096])
def test_nll_equals_a_loop_over_single_tokens(window, stride, batch_tokens):
    texts = ["", "a", "the quick brown fox jumps over the lazy dog", "三国演义" * 5, "x" * 100, "y" * 16]
    config = EvaluationConfig(window=window, stride=stride, batch_tokens=batch_tokens)
    model = whole_context(3)
    rows = score_documents(documents(texts), byte_encode, model, 0, 256, config).to_pylist()
    for text, row in zip(texts, rows, strict=True):
        expected = brute_force_nll(model, byte_encode([text])[0], window, stride or window)
        assert row["bytes"] == row["tokens"] == len(text.encode())
        assert row["nll"] == pytest.approx(expected, abs=1e-9)


def test_bits_per_byte_of_a_uniform_model_is_eight():
    uniform = lambda ids, targets, mask: np.full(ids.shape, -math.log(256))  # noqa: E731
    rows = score_documents(documents(["hello", "世界"]), byte_encode, uniform, 0, 8, EvaluationConfig()).to_pylist()
    assert [row["nll"] / (row["bytes"] * math.log(2)) for row in rows] == pytest.approx([8.0, 8.0])


def test_a_longer_stride_gives_less_context_but_the_same_tokens():
    log_probs, table = bigram(1)
    text = "some text that is longer than one window of the model"
    tokens = byte_encode([text])[0]
    exact = -sum(table[a, b] for a, b in zip([0, *tokens], tokens, strict=False))
    for stride in (None, 3):
        config = EvaluationConfig(window=10, stride=stride)
        assert score_documents(documents([text]), byte_encode, log_probs, 0, 64, config)["nll"][0].as_py() == (
            pytest.approx(exact)
        )


def test_a_document_without_finite_likelihood_is_null_and_alone():
    def broken(ids, targets, mask):
        values = np.full(ids.shape, -1.0)
        values[(ids == ord("!") + 1).any(axis=1)] = np.nan
        return values

    rows = score_documents(documents(["fine", "bro!ken", "good"]), byte_encode, broken, 0, 32, EvaluationConfig())
    assert rows["nll"].to_pylist() == [4.0, None, 4.0]
    assert rows.schema == DOCUMENT_SCORES


def test_no_documents_give_an_empty_table():
    rows = score_documents(documents([]), byte_encode, bigram(0)[0], 0, 8, EvaluationConfig())
    assert len(rows) == 0
    assert rows.schema == DOCUMENT_SCORES


def test_masked_positions_may_hold_anything():
    def careless(ids, targets, mask):
        return np.where(mask, -2.0, np.nan)

    rows = score_documents(documents(["ab", "abcdef"]), byte_encode, careless, 0, 32, EvaluationConfig())
    assert rows["nll"].to_pylist() == [4.0, 12.0]


def test_a_model_that_answers_in_another_shape_is_refused():
    with pytest.raises(ValueError, match="shape"):
        score_documents(documents(["ab"]), byte_encode, lambda i, t, m: np.zeros(3), 0, 32, EvaluationConfig())


def test_the_chosen_documents_are_stable_when_one_arrives():
    table = documents(["t"] * 40, ["a"] * 20 + ["b"] * 20)
    before = choose_documents(table.slice(0, 39), 5, seed=1)
    after = choose_documents(table, 5, seed=1)
    assert before["domain"].to_pylist() == ["a"] * 5 + ["b"] * 5
    assert len(set(before["id"].to_pylist()) - set(after["id"].to_pylist())) <= 1
    assert choose_documents(table, 5, seed=2)["id"] != after["id"]
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(40)))
    assert choose_documents(shuffled, 5, seed=1).equals(after)


def test_progress_ends_at_the_total():
    calls = []
    text = ["abc", "de", "f" * 50]
    config = EvaluationConfig(window=8, batch_tokens=16)
    score_documents(documents(text), byte_encode, bigram(0)[0], 0, 8, config, lambda *done: calls.append(done))
    assert calls[-1][0] == calls[-1][1]
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_a_window_beyond_the_context_is_refused():
    with pytest.raises(ValueError, match="context length is 8"):
        score_documents(documents(["a"]), byte_encode, bigram(0)[0], 0, 8, EvaluationConfig(window=9))
    with pytest.raises(ValueError, match="stride"):
        EvaluationConfig(window=4, stride=5)
    with pytest.raises(ValueError, match="longer than the window"):
        EvaluationConfig(stride=9).window_and_stride(8)
