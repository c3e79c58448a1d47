import math

import numpy as np
import pytest

from pipelines.evaluation.config import EvaluationConfig, TaskConfig
from pipelines.evaluation.items import Item
from pipelines.evaluation.scores import task_scores
from pipelines.evaluation.tasks import ITEM_SCORES, credit, encode_pairs, prompt_digest, rendered, score_items
from tests.pipelines.evaluation.models import bigram, byte_encode, whole_context

TASK = TaskConfig(name="quiz", file="quiz.jsonl")


def item(question, choices, gold=0, name="1", group=None):
    return Item(name, group, question, (question,) * len(choices), tuple(choices), tuple(choices), gold)


def scored(items, model=None, task=TASK, context=512, **config):
    model = model or bigram(0)[0]
    return score_items(task, items, byte_encode, model, 0, context, EvaluationConfig(**config)).to_pylist()


def test_log_likelihoods_are_those_of_the_continuation_after_the_context():
    log_probs, table = bigram(5)
    (row,) = scored([item("Which?", ["one", "二", "seven"])], log_probs)
    for choice, got in zip(["one", "二", "seven"], row["log_likelihoods"], strict=True):
        tokens = byte_encode([f"Which? {choice}"])[0]
        border = len("Which?")
        assert got == pytest.approx(sum(table[tokens[i - 1], tokens[i]] for i in range(border, len(tokens))))


def test_acc_by_sum_by_character_and_by_byte_can_all_differ():
    """Sums -6, -8, -9: the first wins; per character -6, -4, -4.5: the second; per byte -6, -4, -1.5: the third."""
    values = {ord("a") + 1: -6.0, ord("b") + 1: -4.0, "三".encode()[0] + 1: -4.5}

    def model(ids, targets, mask):
        found = np.zeros(targets.shape)
        for token, value in values.items():
            found[targets == token] = value
        return found

    (row,) = scored([item("q", ["a", "bb", "三三"], gold=2)], model)
    assert row["log_likelihoods"] == [-6.0, -8.0, -9.0]
    assert (row["picked"], row["picked_norm"]) == (0, 1)
    assert (row["acc"], row["acc_norm"], row["acc_bytes"]) == (0.0, 0.0, 1.0)
    assert [scored([item("q", ["a", "bb", "三三"], gold)], model)[0]["acc"] for gold in (0, 1)] == [1.0, 0.0]
    assert scored([item("q", ["a", "bb", "三三"], gold=1)], model)[0]["acc_norm"] == 1.0


def test_ties_share_the_credit():
    assert credit(np.array([-1.0, -1.0, -2.0]), 0) == 0.5
    assert credit(np.array([-1.0, -1.0, -2.0]), 2) == 0.0
    assert credit(np.array([-3.0, -1.0, -2.0]), 1) == 1.0
    flat = lambda ids, targets, mask: np.zeros(ids.shape)  # noqa: E731
    rows = scored([item("q", ["a", "b", "c", "d"], gold) for gold in range(4)], flat)
    assert [row["acc"] for row in rows] == [0.25] * 4
    assert all(row["tied"] for row in rows)
    (twice,) = scored([item("q", ["same", "other", "same"], gold=2)], whole_context(2))
    assert twice["log_likelihoods"][0] == twice["log_likelihoods"][2]


def greedy_merge(texts):
    """A tokenizer of words that carry the space before them: ' ab' is one token."""
    result = []
    for text in texts:
        pieces, current = [], ""
        for character in text:
            if character == " " and current:
                pieces.append(current)
                current = ""
            current += character
        pieces += [current] if current else []
        result.append([sum(map(ord, piece)) % 500 + 1 for piece in pieces])
    return result


def test_space_at_the_end_of_the_context_moves_to_the_continuation():
    ((tokens, border),) = encode_pairs([("Answer: ", "yes")], greedy_merge, 0, prefix=False)
    assert border == 1
    assert list(tokens) == greedy_merge(["Answer: yes"])[0]


def test_a_token_across_the_border_leaves_at_least_one_token_to_score():
    encode = lambda texts: [[len(text)] for text in texts]  # noqa: E731  # one token, whatever the text
    ((tokens, border),) = encode_pairs([("abc", "def")], encode, 9, prefix=False)
    assert (list(tokens), border) == ([9, 6], 1)


def test_an_empty_context_begins_with_end_of_text():
    ((tokens, border),) = encode_pairs([("", "yes")], byte_encode, 0, prefix=False)
    assert (list(tokens), border) == ([0, *byte_encode(["yes"])[0]], 1)
    ((tokens, border),) = encode_pairs([("\n", "yes")], byte_encode, 0, prefix=False)
    assert (list(tokens), border) == ([0, *byte_encode(["\nyes"])[0]], 1)


def test_the_prefix_is_a_setting():
    asked = []

    def model(ids, targets, mask):
        asked.append(ids[0, 0])
        return np.zeros(ids.shape)

    scored([item("q", ["a", "b"])], model, context_prefix="end_of_text")
    scored([item("q", ["a", "b"])], model)
    assert set(asked[:1]) == {0}
    assert set(asked[1:]) == {ord("q") + 1}


def test_long_contexts_lose_their_left_end():
    seen = []

    def model(ids, targets, mask):
        seen.append((ids.shape, int(mask.sum())))
        return np.where(mask, -1.0, 0.0)

    (row,) = scored([item("x" * 100, ["abc", "de"])], model, context=16)
    assert max(shape[1] for shape, _ in seen) == 16
    assert row["log_likelihoods"] == [-4.0, -3.0]  # with the delimiter
    assert row["truncated"] == 100 + 4 - 17
    (longer,) = scored([item("x", ["a" * 40, "b"])], model, context=16)
    assert longer["log_likelihoods"] == [-16.0, -2.0]


def test_contexts_of_their_own_share_a_continuation():
    log_probs, table = bigram(3)
    both = Item("1", None, "the cat", ("the cat", "the dog"), ("barked.",) * 2, ("barked.",) * 2, 1)
    (row,) = scored([both], log_probs)
    difference = row["log_likelihoods"][1] - row["log_likelihoods"][0]
    space = ord(" ") + 1
    assert difference == pytest.approx(table[ord("g") + 1, space] - table[ord("t") + 1, space])
    assert row["acc"] == row["acc_norm"] == float(difference > 0)


def test_an_item_without_finite_likelihood_has_no_verdict():
    def model(ids, targets, mask):
        return np.where(targets == ord("b") + 1, -np.inf, -1.0)

    good, bad = scored([item("q", ["a", "c"], name="1"), item("q", ["a", "b"], name="2")], model)
    assert good["acc"] == 0.5
    assert bad["log_likelihoods"][1] is None
    assert (bad["acc"], bad["picked"], bad["tied"]) == (None, None, False)
    rows = score_items(TASK, [item("q", ["a", "b"])] * 3, byte_encode, model, 0, 64, EvaluationConfig())
    (score,) = task_scores(rows, EvaluationConfig())
    assert score.acc.value is None
    assert score.reason.startswith("3 items")


def test_scores_of_a_task_and_its_groups():
    items = [item(f"q{i}", ["a", "b"], gold=i % 2, name=str(i), group="zh" if i < 4 else "en") for i in range(10)]
    favours_a = lambda ids, targets, mask: np.where(targets == ord("a") + 1, -1.0, -2.0)  # noqa: E731
    rows = score_items(TASK, items, byte_encode, favours_a, 0, 64, EvaluationConfig())
    assert rows.schema == ITEM_SCORES
    whole, en, zh = task_scores(rows, EvaluationConfig())
    assert (whole.group, en.group, zh.group) == (None, "en", "zh")
    assert (whole.items, en.items, zh.items) == (10, 6, 4)
    assert whole.acc.value == 0.5
    assert whole.acc.stderr == pytest.approx(math.sqrt(0.25 / 9))
    assert (whole.random, whole.majority, whole.above_random) == (0.5, 0.5, False)


def test_an_empty_task_gives_no_score():
    rows = score_items(TASK, [], byte_encode, bigram(0)[0], 0, 64, EvaluationConfig())
    assert task_scores(rows, EvaluationConfig()) == ()


def test_the_prompt_digest_says_whether_scores_compare():
    one = [item("q", ["a", "b"])]
    assert prompt_digest(TASK, one) == prompt_digest(TASK, [item("q", ["a", "b"], name="other")])
    assert prompt_digest(TASK, one) != prompt_digest(TASK, [item("q", ["a", "b"], gold=1)])
    assert prompt_digest(TASK, one) != prompt_digest(TaskConfig(name="quiz", file="f", delimiter=""), one)
    assert rendered(TASK, one) == [("q", " a"), ("q", " b")]
