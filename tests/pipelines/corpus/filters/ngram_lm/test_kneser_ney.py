"""Modified Kneser-Ney against a plain implementation of its definition, by recursion over dictionaries."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.filters.blocks import hash_words
from pipelines.corpus.filters.ngram_lm.config import LanguageModelConfig
from pipelines.corpus.filters.ngram_lm.estimate import discounts
from pipelines.corpus.filters.ngram_lm.model import score_lines, score_texts, word_ids
from pipelines.corpus.filters.ngram_lm.train import train_ngrams
from tests.pipelines.corpus.filters.corpus import mixture

HERE = {"texts": ({"batches": ("any.first",)},)}


def config(order, prune=(0,), min_count=1):
    return LanguageModelConfig(order=order, prune=prune, min_count=min_count, **HERE)


class Definition:
    """p(w | c) straight from the formulas: every n-gram a tuple, every sum a loop."""

    def __init__(self, sentences, order, thresholds):
        self.order = order
        raw = [Counter() for _ in range(order + 1)]
        for sentence in sentences:
            words = ["<s>", *sentence, "</s>"]
            for size in range(1, order + 1):
                raw[size].update(tuple(words[at : at + size]) for at in range(len(words) - size + 1))
        self.vocabulary = {gram[0] for gram in raw[1]} - {"<s>"} | {"<unk>", "</s>"}
        self.adjusted, self.kept, self.discount = {}, {}, {}
        for size in range(1, order + 1):
            before = defaultdict(set)
            for gram in raw[size + 1] if size < order else ():
                before[gram[1:]].add(gram[0])
            adjusted = {
                gram: count if size == order or gram[0] == "<s>" else len(before[gram])
                for gram, count in raw[size].items()
                if gram[-1] != "<s>"
            }
            self.adjusted[size] = adjusted
            self.kept[size] = {gram for gram in adjusted if size == 1 or raw[size][gram] > thresholds[size - 1]}
            tally = Counter(adjusted.values())
            self.discount[size] = self._discounts(tally)

    @staticmethod
    def _discounts(tally):
        if not (tally[1] and tally[2] and tally[3]):
            return {1: 0.5, 2: 1.0, 3: 1.5}
        share = tally[1] / (tally[1] + 2 * tally[2])
        found = {k: k - (k + 1) * share * tally[k + 1] / tally[k] for k in (1, 2, 3)}
        return found if all(0 <= value <= k for k, value in found.items()) else {1: 0.5, 2: 1.0, 3: 1.5}

    def probability(self, context, word):
        size = len(context) + 1
        followers = {gram: count for gram, count in self.adjusted[size].items() if gram[:-1] == context}
        lower = 1 / len(self.vocabulary) if not context else self.probability(context[1:], word)
        total = sum(followers.values())
        if not total:
            return lower
        given_up = sum(
            self.discount[size][min(count, 3)] if gram in self.kept[size] else count
            for gram, count in followers.items()
            if count
        )
        gram = (*context, word)
        own = 0.0
        if gram in self.kept[size] and self.adjusted[size][gram]:
            own = self.adjusted[size][gram] - self.discount[size][min(self.adjusted[size][gram], 3)]
        return own / total + given_up / total * lower

    def score(self, sentence):
        words = ["<s>", *(word if word in self.vocabulary else "<unk>" for word in sentence), "</s>"]
        return sum(
            math.log10(self.probability(tuple(words[max(0, at - self.order + 1) : at]), words[at]))
            for at in range(1, len(words))
        )


corpora = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=1, max_size=7), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(corpora, st.integers(1, 4), st.sampled_from([(0,), (0, 0, 1), (0, 1)]), corpora)
def test_scores_are_those_of_the_definition(sentences, order, prune, unseen):
    settings_ = config(order, prune)
    trained = train_ngrams(["\n".join(map(" ".join, sentences))], settings_)
    expected = Definition(sentences, order, settings_.thresholds())
    for sentence in [*sentences, *unseen, ["zebra", "a"]]:
        ids = word_ids(hash_words(sentence), trained.model.hashes)
        offsets = np.array([0, len(sentence)])
        [found] = score_lines(ids, offsets, *trained.model[2:], trained.model.order)
        assert found == pytest.approx(expected.score(sentence), abs=2e-5)


@settings(max_examples=25, deadline=None)
@given(corpora, st.integers(1, 4), st.sampled_from([(0,), (0, 0, 1)]))
def test_probabilities_after_any_context_add_up_to_one(sentences, order, prune):
    trained = train_ngrams(["\n".join(map(" ".join, sentences))], config(order, prune))
    size = len(trained.words) + 3
    context = word_ids(hash_words(sentences[0][: order - 1]), trained.model.hashes)
    with_word = np.array([[*context, word] for word in range(size) if word != 1], np.int32)
    arrays = (*trained.model[2:], trained.model.order)
    # p(c w </s>) / p(</s> | c w) is not asked for: the line's own end is taken off by scoring the context with `</s>`.
    total = 0.0
    for line in with_word:
        whole = prefix_score(line, arrays)
        total += 10 ** (whole - prefix_score(context, arrays))
    assert total == pytest.approx(1, abs=1e-4)


def prefix_score(words, arrays):
    """log10 p of the words after `<s>` without an end, by walking the model as `score_lines` does."""
    word, probability, backoff, first_child, order = arrays
    context, total = [1], 0.0
    for target in words:
        nodes = [target]
        for node in context[: order - 1]:
            children = word[first_child[node] : first_child[node + 1]]
            place = np.searchsorted(children, target)
            if place == len(children) or children[place] != target:
                break
            nodes.append(first_child[node] + place)
        total += probability[nodes[-1]] + sum(backoff[node] for node in context[len(nodes) - 1 : order - 1])
        context = nodes[: order - 1]
    return float(total)


def test_discounts_are_chen_and_goodmans():
    counts = np.array([1] * 10 + [2] * 5 + [3] * 3 + [4] * 2, float)
    share = 10 / 20
    expected = [0, 1 - 2 * share * 5 / 10, 2 - 3 * share * 3 / 5, 3 - 4 * share * 2 / 3]
    assert discounts(counts) == pytest.approx(expected)
    assert discounts(np.array([1.0, 1.0])).tolist() == [0, 0.5, 1.0, 1.5]


def test_perplexity_is_ccnets():
    """10 ** (-sum log10 p(line) / sum(len(line) + 1)), lines without a word left out."""
    trained = train_ngrams(["the cat sat\nthe dog sat\na cat ran"] * 2, config(3))
    text = "The cat ran\n\nthe dog"
    scores = score_texts(trained.model, [text, "", "\n"], 1000)
    lines = [["the", "cat", "ran"], ["the", "dog"]]
    logs = []
    for line in lines:
        ids = word_ids(hash_words(line), trained.model.hashes)
        logs.append(score_lines(ids, np.array([0, len(line)]), *trained.model[2:], 3)[0])
    assert scores.perplexity()[0] == pytest.approx(10 ** (-sum(logs) / (4 + 3)))
    assert np.isnan(scores.perplexity()[1:]).all()


def test_unknown_words_are_charged_for_their_number():
    trained = train_ngrams(["a a b\na b\nb a b c d e"], config(2, min_count=2))
    assert trained.words != [] and set(trained.words) == {"a", "b"} and trained.unknown_words == 3
    plain, charged = (score_texts(trained.model, ["x y a"], 99, n) for n in (1, 100))
    assert plain.unknown.tolist() == [2]
    assert plain.log_probability[0] - charged.log_probability[0] == pytest.approx(4)


def test_text_like_the_training_text_is_likelier():
    wiki = mixture("wiki_en", 60)
    trained = train_ngrams(wiki[:40], config(4, prune=(0, 0, 1), min_count=2))
    median = {
        name: float(np.nanmedian(score_texts(trained.model, texts, 3000, trained.unknown_words).perplexity()))
        for name, texts in {
            "train": wiki[:20],
            "wiki": wiki[40:],
            "web": mixture("web_en", 60, 2),
            "code": mixture("code", 30, 5),
            "zh": mixture("zh_general", 30, 9),
        }.items()
    }
    assert median["train"] < median["wiki"] < median["web"] < median["zh"]
    assert median["wiki"] < median["code"]
