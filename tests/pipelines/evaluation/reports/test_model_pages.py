"""Pages of models and the signal tables: every number of the measures is on the page, hostile text is escaped."""

import pytest

from pipelines.evaluation.reports.models import (
    annotation_html,
    calibration_html,
    classifier_html,
    language_model_html,
)
from pipelines.evaluation.reports.signals import signal_tables, signals_section
from pipelines.evaluation.reports.subset import subset_html

CURVE = {"predicted": [0.1, 0.9], "observed": [0.2, 0.8], "count": [40, 60], "expected_error": 0.1, "brier": 0.05}
QUALITY = {
    "headline": {
        "precision": 0.91, "recall": 0.82, "average_precision": 0.931, "roc_auc": 0.942, "threshold": 0.37,
        "negatives_kept": 0.1,
    },
    "calibration": CURVE,
    "curve": {"thresholds": [0.9, 0.1], "precision": [1.0, 0.5], "recall": [0.4, 1.0]},
    "errors": [{"label": "positive", "score": 0.01, "text": "<script>alert(1)</script>"}],
    "examples": [{"label": "positive", "origin": "a.jsonl", "held_out": True, "count_all": 123}],
}  # fmt: skip
TOPICS = {
    "headline": {"accuracy": 0.64, "macro_f1": 0.61, "majority": 0.2},
    "calibration": CURVE,
    "classes": [
        {"label": name, "examples": 7, "precision": 0.5, "recall": 0.25, "f1": 1 / 3} for name in ("law", "physics")
    ],
    "confusion": [[5, 2], [1, 6]],
    "errors": [],
    "examples": [{"label": "law", "origin": "b.jsonl", "held_out": True, "count_all": 14}],
}
LANGUAGE_MODEL = {
    "headline": {"held_out_perplexity": 315.4, "unknown_share": 0.05, "head_below": 340.0, "middle_below": 520.0},
    "counts": {"vocabulary": 22000, "ngrams": 550000},
    "order": 5,
    "reference": [100.0, 300.0, 900.0],
}
CALIBRATION = {
    "accuracy": 0.8,
    "texts": {"fitted": 500, "measured": 501},
    "before": CURVE,
    "after": {**CURVE, "expected_error": 0.01},
    "languages": [{"language": "zu", "texts": 40, "right": 0.0, "taken_for": "en"}],
}
ANNOTATIONS = {
    "documents": 50, "labels": 120, "resolved": 45, "unresolved": 5, "by_label": {"good": 40, "bad": 5},
    "annotators": {"ann": 50, "<b>": 70}, "krippendorff_alpha": 0.701, "fleiss_kappa": None,
    "pairs": [{"annotators": ["ann", "<b>"], "documents": 33, "cohen_kappa": 0.655, "span_f1": None,
               "span_character_f1": 0.5}],
}  # fmt: skip

SUBSET = {
    "terms": [{"term": "proof", "weight": 2.125, "background": 17}, {"term": "<b>", "weight": 1.5, "background": 3}],
    "background": 400,
    "matched": 19,
    "samples": [{"place": 1, "score": 8.25, "text": "<script>"}, {"place": 19, "score": 0.5, "text": "barely"}],
}


@pytest.mark.parametrize(
    ("html", "wanted"),
    [
        (subset_html("math", SUBSET), ["2.125", "8.250", "4.8 %", "barely", "&lt;script&gt;"]),
        (classifier_html("edu", QUALITY), ["0.370", "82.0 %", "0.942", "123", "&lt;script&gt;"]),
        (classifier_html("subjects", TOPICS), ["64.0 %", "20.0 %", "physics", "0.333"]),
        (language_model_html("wiki", LANGUAGE_MODEL), ["315.4", "340.0", "520.0", "5.0 %"]),
        (calibration_html(CALIBRATION), ["80.0 %", "zu", "0.010"]),
        (annotation_html("labels", ANNOTATIONS), ["0.701", "0.655", "33", "&lt;b&gt;"]),
    ],
    ids=["subset", "quality", "topics", "language model", "calibration", "annotations"],
)
def test_a_page_shows_its_measures(html, wanted):
    for text in wanted:
        assert text in html, text
    assert "<script" not in html and "<b> and" not in html and "http" not in html.replace("http-equiv", "")


def test_pages_are_the_same_bytes():
    assert classifier_html("edu", QUALITY) == classifier_html("edu", QUALITY)
    more = {**QUALITY, "pseudo_labels": {"before": QUALITY, "added": {"positive": 77, "negative": 5}, "counts": {}}}
    assert "77 positive" in classifier_html("edu", more)


def test_signals_by_domain():
    counts = {
        "web": {"language/en": 90, "language/fr": 10, "topic/law": 25, "topic/none": 75, "classifier/edu/scored": 80,
                "classifier/edu/kept": 8, "agreement/edu/fun/both": 20, "agreement/edu/fun/first": 5,
                "agreement/edu/fun/second": 10, "agreement/edu/fun/neither": 15, "rows_in": 100},
        "books": {"language/en": 50, "classifier/edu/scored": 0, "classifier/edu/kept": 0},
    }  # fmt: skip
    tables = {item.title: item for item in signal_tables(counts)}
    assert list(tables) == ["Languages", "Topics", "Classifiers", "Agreement of classifiers"]
    assert tables["Languages"].domains == ("books", "web")
    assert dict(tables["Languages"].rows) == {"en": (1.0, 0.9), "fr": (0.0, 0.1)}
    assert dict(tables["Topics"].rows)["law"] == (None, 0.25)
    assert dict(tables["Classifiers"].rows) == {"edu": (None, 0.1)}
    assert dict(tables["Agreement of classifiers"].rows)["edu and fun"] == (None, pytest.approx(0.4))
    page = signals_section(signal_tables(counts))
    assert "90.0 %" in page and "0.40" in page
    assert signals_section(signal_tables({})) == ""


def test_many_languages_are_summed_up():
    [languages] = signal_tables({"web": {f"language/l{n:02}": 100 - n for n in range(40)}})
    assert len(languages.rows) == 17 and languages.rows[-1][0] == "24 others"
    assert sum(values[0] for _, values in languages.rows) == pytest.approx(1)
