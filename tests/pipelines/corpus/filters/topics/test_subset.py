"""BM25 against a plain implementation over words, and real queries in two languages."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.filters.labelled.examples import ExamplesError
from pipelines.corpus.filters.topics.config import SubsetConfig
from pipelines.corpus.filters.topics.subset import SubsetScoring, build_subset, most_relevant, relevance, subsets_part
from tests.pipelines.corpus.filters.corpus import documents, mixture

HERE = ({"batches": ("any.first",)},)
WORDS = ["cat", "dog", "bird", "fish"]
lines = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8)


def plain_terms(words):
    return Counter([*words, *itertools.pairwise(words)])


@settings(deadline=None)
@given(st.lists(lines, min_size=1, max_size=8), lines, st.floats(0.1, 3), st.floats(0, 1))
def test_scores_are_those_of_the_definition(background, query, k1, b):
    config = SubsetConfig(query=" ".join(query), background=HERE, k1=k1, b=b)
    texts = [" ".join(words) for words in background]
    built = build_subset([config.query], texts, config)
    counted = [plain_terms(words) for words in background]
    mean = sum(map(len, background)) / len(background)
    expected = []
    for words, counts in zip(background, counted, strict=True):
        score = 0.0
        for term in plain_terms(query):
            n = sum(term in other for other in counted)
            idf = math.log(1 + (len(background) - n + 0.5) / (n + 0.5))
            score += idf * counts[term] * (k1 + 1) / (counts[term] + k1 * (1 - b + b * len(words) / mean))
        expected.append(score)
    assert relevance(texts, built.weights) == pytest.approx(expected, abs=1e-6)


def test_a_chinese_query_finds_its_documents():
    texts = list(mixture("zh_general", 400, 3))
    config = SubsetConfig(query="神经网络 深度学习", background=HERE)
    scores = relevance(texts, build_subset([config.query], texts, config).weights)
    best = [texts[row] for row in np.argsort(-scores)[:10]]
    assert all("网络" in text or "学习" in text for text in best)
    assert np.mean(["神经网络" in text for text in best]) > 0.7 > np.mean(["神经网络" in text for text in texts])


def test_seeds_find_their_kind():
    web, math_texts = list(mixture("web_en", 150, 3)), list(mixture("math_science", 150, 40))
    config = SubsetConfig(seeds=HERE, background=HERE, terms=80)
    built = build_subset(math_texts[:40], web, config)
    measures = built.measures
    assert len(measures["terms"]) == 80 and len(built.weights.terms) == 80
    best = sorted(relevance(web, built.weights).tolist(), reverse=True)
    assert (measures["background"], measures["matched"]) == (len(web), np.count_nonzero(best))
    shown = [(sample["place"], sample["score"]) for sample in measures["samples"]]
    assert shown == [(place, pytest.approx(best[place - 1], abs=1e-6)) for place, _ in shown]
    assert (shown[0][0], shown[-1][0], len(shown)) == (1, measures["matched"], 12)
    found, other = relevance(math_texts[40:], built.weights), relevance(web, built.weights)
    assert np.mean(found[:, None] > other[None, :]) > 0.9


def test_the_family_ranks_among_the_background():
    texts = list(mixture("web_en", 120, 4))
    config = SubsetConfig(query="government design accessibility", background=HERE)
    weights = build_subset([config.query], texts, config).weights
    scoring = SubsetScoring(subsets={"gov": weights, "same": weights})
    table = subsets_part({"documents": documents([*texts, ""])}, scoring).tables["subsets"]
    assert table.column_names == ["id", "text_hash", "gov_relevance", "gov_rank", "same_relevance", "same_rank"]
    scores, ranks = np.array(table["gov_relevance"].to_pylist()), np.array(table["gov_rank"].to_pylist())
    assert np.all(np.diff(ranks[np.argsort(scores)]) >= 0)
    assert scores[-1] == 0 and ranks.max() > 0.97
    single = [subsets_part({"documents": documents([text])}, scoring).tables["subsets"] for text in texts[:5]]
    assert [item["gov_relevance"][0].as_py() for item in single] == pytest.approx(scores[:5].tolist())


def test_pairs_do_not_cross_lines():
    config = SubsetConfig(query="red fox", background=HERE)
    weights = build_subset([config.query], ["a red fox", "no animal"], config).weights
    together, apart = relevance(["red fox", "red\nfox"], weights)
    assert together > apart > 0


def test_nothing_to_look_for():
    with pytest.raises(ExamplesError):
        build_subset(["one", "two"], ["three"], SubsetConfig(seeds=HERE, background=HERE))
    for wrong in ({}, {"query": "x", "seeds": HERE}):
        with pytest.raises(ValueError):
            SubsetConfig(background=HERE, **wrong)


def test_the_most_relevant_texts_are_those_a_subset_scores_highest():
    texts = [*mixture("zh_general", 60, 7), "車站與鐵路", "nothing of it"]
    places = most_relevant(texts, "鐵路 車站", 5, 20_000)
    weights = build_subset(["鐵路 車站"], texts, SubsetConfig(query="鐵路 車站", background=HERE)).weights
    scores = relevance(texts, weights)
    assert len(places) == 5 and len(texts) - 2 in places and len(texts) - 1 not in places
    assert (
        min(scores[places]) >= max(np.delete(scores, places)) and list(scores[places]) == sorted(scores[places])[::-1]
    )
    assert most_relevant(["a b", "c"], "b", 9, 99) == [0]  # what has no word of the query is not found
    with pytest.raises(ExamplesError, match="needs background texts"):
        most_relevant(texts, "??", 5, 99)
