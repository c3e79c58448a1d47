"""Training on real text: wanted documents against a pool, topics of questions, pseudo-labels, and the family."""

import json
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from pipelines.core.fingerprint import digest_file
from pipelines.corpus.filters.classifier.build import build_classifier
from pipelines.corpus.filters.classifier.config import EnsembleConfig, QualityClassifier, TopicClassifier
from pipelines.corpus.filters.classifier.score import (
    ClassifierScoring,
    PinnedClassifier,
    classifiers_part,
    count_verdicts,
)
from pipelines.corpus.filters.classifier.train import TrainingError, train_fasttext, training_order
from pipelines.corpus.filters.config import LanguageConfig
from pipelines.corpus.filters.labelled.config import ExamplesConfig
from pipelines.corpus.filters.labelled.examples import ExamplesError, ExampleSet, Labelled, file_texts, gather
from pipelines.corpus.filters.topics.score import TopicScoring, topics_part
from tests.pipelines.corpus.filters.corpus import documents, mixture
from tests.shared_data import shared

HERE = ExamplesConfig(batches=("any.first",))
SMALL = {"dimension": 16, "buckets": 20_000, "max_characters": 600, "epochs": 25}
QUALITY = QualityClassifier(kind="quality", positive=(HERE,), negative=(HERE,), **SMALL)


@cache
def sets():
    """Instructions against web pages."""
    wanted = ExamplesConfig(path="x", text_fields=("instruction", "output"))
    positive = [item.text for item in file_texts(shared("sft/alpaca_en_demo.jsonl.zst"), wanted)][:400]
    return positive, list(mixture("web_en", 400, 2))


def examples(config=QUALITY, extra=()):
    positive, negative = sets()
    labelled = [
        ExampleSet(label, 10_000, [Labelled(text, label) for text in texts])
        for label, texts in (("positive", positive), ("negative", negative), *extra)
    ]
    return gather(labelled, max_characters=config.max_characters, held_out=0.3, seed=config.seed)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return build_classifier(examples(), QUALITY, tmp_path_factory.mktemp("quality"))


def pinned(trained, **changes):
    values = {
        "model": str(trained.model),
        "model_digest": digest_file(trained.model),
        "labels": trained.labels,
        "languages": (),
        "max_characters": QUALITY.max_characters,
        "threshold": trained.measures["headline"].get("threshold", 0.0),
        "reference": tuple(trained.measures.get("reference", ())),
    }
    return PinnedClassifier(**{**values, **changes})


def test_it_tells_instructions_from_web_pages(trained):
    headline = trained.measures["headline"]
    assert headline["roc_auc"] > 0.95 and headline["recall"] > 0.8 and headline["precision"] > 0.8
    assert 0.05 <= headline["negatives_kept"] <= 0.12  # `keep` asks for a tenth
    json.dumps(trained.measures, allow_nan=False)


def test_measures_are_those_of_the_held_out_scores(trained):
    table = trained.examples.filter(trained.examples["held_out"])
    truth = np.array(table["label"].to_pylist()) == "positive"
    scores = table["score"].to_numpy()
    headline = trained.measures["headline"]
    kept = scores >= headline["threshold"]
    assert headline["precision"] == pytest.approx((kept & truth).sum() / kept.sum())
    assert headline["recall"] == pytest.approx((kept & truth).sum() / truth.sum())
    pairs = scores[truth][:, None] - scores[~truth][None, :]
    assert headline["roc_auc"] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert sum(trained.measures["calibration"]["count"]) == len(table)


def test_the_same_examples_give_the_same_bytes(trained, tmp_path):
    again = build_classifier(examples(), QUALITY, tmp_path)
    assert digest_file(again.model) == digest_file(trained.model)
    assert again.measures == trained.measures


def test_the_family_scores_keeps_and_counts(trained):
    positive, negative = sets()
    texts = [*positive[:30], *negative[:30], " \n"]
    config = ClassifierScoring(
        models={"good": pinned(trained), "strict": pinned(trained, threshold=0.9)},
        ensembles={"best": EnsembleConfig(members=("good", "strict"), method="max_bucket")},
        language=None,
    )
    result = classifiers_part({"documents": documents(texts)}, config)
    table = result.tables["classifiers"]
    scores = table["good_score"].to_pylist()
    assert scores[-1] is None and table["best"][60].as_py() is None
    assert np.mean(scores[:30]) > 0.7 > 0.3 > np.mean(scores[30:60])
    ranks = np.array(table["good_rank"].to_pylist()[:60], float)
    order = np.argsort(np.array(scores[:60], float))
    assert np.all(np.diff(ranks[order]) >= 0) and ranks.min() >= 0 and ranks.max() <= 1
    kept = sum(score is not None and score >= config.models["good"].threshold for score in scores)
    assert result.counts["classifier/good/kept"] == kept and result.counts["classifier/good/scored"] == 60
    best = [value for value in table["best"].to_pylist() if value is not None]
    assert (result.counts["ensemble/best/scored"], result.counts["ensemble/best/kept"]) == (
        60,
        sum(b >= 10 for b in best),
    )
    cells = [result.counts[f"agreement/good/strict/{cell}"] for cell in ("both", "first", "second", "neither")]
    assert sum(cells) == 60 and cells[2] == 0
    assert count_verdicts(table, config) == {k: v for k, v in result.counts.items() if k not in ("rows_in", "kept")}


def test_a_row_does_not_depend_on_its_neighbours(trained):
    texts = [*sets()[0][:8], "一个中文句子", ""]
    config = ClassifierScoring(models={"good": pinned(trained)}, ensembles={}, language=None)
    whole = classifiers_part({"documents": documents(texts)}, config).tables["classifiers"]["good_score"].to_pylist()
    single = [
        classifiers_part({"documents": documents([text])}, config).tables["classifiers"]["good_score"][0].as_py()
        for text in texts
    ]
    assert whole == single


def test_only_declared_languages_are_scored(trained):
    language = LanguageConfig(model=str(shared("models/lid176/lid.176.ftz")))
    config = ClassifierScoring(models={"good": pinned(trained, languages=("en",))}, ensembles={}, language=language)
    texts = ["How do I bake a loaf of bread at home?", "这是一个关于天气的中文句子，今天天气很好。"]
    found = classifiers_part({"documents": documents(texts)}, config).tables["classifiers"]["good_score"].to_pylist()
    assert found[0] is not None and found[1] is None
    with pytest.raises(ValueError, match=r"signals\.language"):
        classifiers_part({"documents": documents(texts)}, config.model_copy(update={"language": None}))


def test_another_model_file_is_refused(trained):
    config = ClassifierScoring(models={"good": pinned(trained, model_digest="0" * 64)}, ensembles={}, language=None)
    with pytest.raises(ValueError, match="has SHA-256"):
        classifiers_part({"documents": documents(["a text"])}, config)


def test_a_page_cannot_label_itself_or_hide(trained):
    config = ClassifierScoring(models={"good": pinned(trained)}, ensembles={}, language=None)
    spam = sets()[1][0][:300]
    texts = [spam, f"__label__positive {spam}", f"explain why </s> {spam}", f"explain why {spam}"]
    scores = classifiers_part({"documents": documents(texts)}, config).tables["classifiers"]["good_score"].to_pylist()
    assert abs(scores[0] - scores[1]) < 0.2
    assert abs(scores[2] - scores[3]) < 0.2


def test_pseudo_labels_add_what_the_model_is_sure_of_and_nothing_held_out(tmp_path):
    positive, negative = sets()
    fresh = list(mixture("web_en", 300, 2))[:1] + list(mixture("math_science", 300, 5))
    sure = {"batches": ("any.first",), "confidence": 0.9, "max_documents": 100}
    config = QualityClassifier.model_validate({**QUALITY.model_dump(), "pseudo_labels": sure})
    pool = [*positive, *negative, *fresh]
    found = build_classifier(examples(config), config, tmp_path, pool)
    told = found.measures["pseudo_labels"]
    counts = told["counts"]
    dropped = sum(number for name, number in counts.items() if name.startswith("dropped/"))
    assert counts["rows_in"] == len(pool) == counts["kept"] + dropped
    assert all(0 < number <= 100 for number in told["added"].values())
    origins = found.examples.filter(pa.compute.equal(found.examples["origin"], "pseudo-labels"))
    assert len(origins) == counts["kept"] and not any(origins["held_out"].to_pylist())
    known = set(examples(config).table["text_hash"].to_pylist())
    assert not known & set(origins["text_hash"].to_pylist())
    assert set(told["before"]) == {"headline", "calibration"}


def test_topics_of_questions(tmp_path):
    config = TopicClassifier(
        kind="topics",
        examples=(HERE.model_copy(update={"label": "others"}),),
        **{**SMALL, "epochs": 60, "dimension": 10},
    )
    subjects = {
        "high_school_mathematics": "mathematics_physics", "college_physics": "mathematics_physics",
        "high_school_biology": "biology_chemistry", "college_chemistry": "biology_chemistry",
        "professional_law": "law_policy", "international_law": "law_policy",
    }  # fmt: skip
    asked = ExamplesConfig(path="x", text_fields=("question", "choices"), label_field="subject", labels=subjects)
    items = list(file_texts(shared("eval/mmlu_57x50_plus_dev.jsonl.zst"), asked))
    labelled = gather([ExampleSet("mmlu", 9999, items)], max_characters=600, held_out=0.3, seed=0)
    found = build_classifier(labelled, config, tmp_path)
    headline = found.measures["headline"]
    assert headline["accuracy"] > max(0.7, headline["majority"] + 0.2)
    assert sum(map(sum, found.measures["confusion"])) == sum(labelled.table["held_out"].to_pylist())

    model = pinned(found, threshold=0.0, max_characters=600)
    texts = ["What is the probability that a fair die shows six twice?", "The defendant appealed to the court.", ""]
    result = topics_part({"documents": documents(texts)}, TopicScoring(models={"subjects": model}, language=None))
    rows = result.tables["topics"].to_pylist()
    assert [row["topic"] for row in rows] == ["mathematics_physics", "law_policy", None]
    assert all(row["topic_score"] >= row["second_topic_score"] for row in rows[:2])
    assert result.counts == {
        "rows_in": 3, "kept": 3, "topic/law_policy": 1, "topic/mathematics_physics": 1, "topic/none": 1
    }  # fmt: skip
    unsure = model.model_copy(update={"threshold": 1.0})
    told = topics_part({"documents": documents(texts[:1])}, TopicScoring(models={"subjects": unsure}, language=None))
    assert told.tables["topics"]["topic"].to_pylist() == ["uncertain"]


def test_too_few_examples_say_what_is_missing(tmp_path):
    few = gather([ExampleSet("one", 9, [Labelled("a text", "positive")])], max_characters=9, held_out=0.3, seed=0)
    with pytest.raises(ExamplesError, match=r"negative.*held-out"):
        build_classifier(few, QUALITY, tmp_path)


def test_fasttext_says_why_it_ended(tmp_path):
    with pytest.raises(TrainingError, match="fastText ended with code"):
        train_fasttext([], tmp_path, {"dim": 4})


def test_small_classes_are_repeated_and_nothing_is_left_out():
    labels = ["a"] * 7 + ["b"] * 2
    order = training_order(labels, 0, balance=True)
    assert sorted(order[:]) == sorted([*range(7), *(7 + n % 2 for n in range(7))])
    assert sorted(training_order(labels, 0, balance=False)) == list(range(9))
    assert training_order(labels, 1, balance=True) != order


def test_the_taxonomy_and_members_are_checked():
    with pytest.raises(ValueError, match="is no topic of llama3_syne_zh"):
        TopicClassifier(kind="topics", taxonomy="llama3_syne_zh", examples=(HERE.model_copy(update={"label": "law"}),))
    with pytest.raises(ValueError, match="leave `label` out"):
        QualityClassifier(kind="quality", positive=(HERE.model_copy(update={"label": "x"}),), negative=(HERE,))
