"""Pages of the models that judge documents: classifiers, language models, annotations, language calibration.

Each takes the measures that its artifact stores, so a page can be drawn again without training anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.evaluation.reports.markup import DASH, Markup, count, number, percent, section, table, tag
from pipelines.evaluation.reports.page import page
from pipelines.evaluation.reports.plots import picture

Measures = Mapping[str, Any]

_CALIBRATION: Final = (
    "calibration",
    "Examples by the probability that the model gave: below the diagonal it promises too much, above it too little.",
)
_HELD_OUT: Final = ("held out", "Chosen by the hash of the text and never trained on, so no copy of one is either.")


def classifier_html(name: str, measures: Measures) -> str:
    """The page of one classifier, of two classes or of topics."""
    topics = "classes" in measures
    headline = measures["headline"]
    held_out = sum(row["count_all"] for row in measures["examples"] if row["held_out"])
    if topics:
        words = (
            f"It names the right topic for {percent(headline['accuracy'])} of {count(held_out)} held-out examples; "
            f"always the commonest would be right for {percent(headline['majority'])}."
        )
        tiles = [(percent(headline["accuracy"]), "accuracy"), (number(headline["macro_f1"]), "macro F1")]
    else:
        words = (
            f"At a threshold of {number(headline['threshold'])} it keeps {percent(headline['recall'])} of the held-out "
            f"positives and {percent(headline['negatives_kept'])} of the negatives."
        )
        tiles = [
            (percent(headline["precision"]), "precision at the threshold"),
            (percent(headline["recall"]), "recall at the threshold"),
            (number(headline["average_precision"]), "average precision"),
            (number(headline["roc_auc"]), "area under the ROC curve"),
        ]
    tiles.append((number(measures["calibration"]["expected_error"]), "calibration error"))
    sections = [
        section("Precision and recall", _curve(measures), note="Every threshold on held-out examples.")
        if not topics
        else None,
        section("Topics", _classes(measures), note="Rows of the lower table are true topics, columns what it found.")
        if topics
        else None,
        section("Calibration", _reliability([("", measures["calibration"])])),
        _pseudo(measures),
        section("Examples", _examples(measures["examples"])),
        section("Worst mistakes", _errors(measures["errors"]), note="Held-out examples that it was most wrong about."),
    ]
    shown = [part for part in sections if part is not None]
    return page(
        name, "Topic classifier" if topics else "Quality classifier", words, tiles, shown, (_CALIBRATION, _HELD_OUT)
    )


_ESTIMATORS = {
    "gristmill": "Estimated by our own modified Kneser-Ney.",
    "kenlm": "Estimated by KenLM's lmplz (modified Kneser-Ney).",
}


def language_model_html(name: str, measures: Measures) -> str:
    """The page of one n-gram language model."""
    headline, counts = measures["headline"], measures["counts"]
    words = (
        f"Documents with a perplexity below {number(headline['head_below'], 1)} are the head, below "
        f"{number(headline['middle_below'], 1)} the middle, all others the tail."
    )
    if "estimator" in measures:
        words += f" {_ESTIMATORS[measures['estimator']]}"
    tiles = [
        (number(headline["held_out_perplexity"], 1), "perplexity of held-out text, a word"),
        (percent(headline["unknown_share"]), "of its words are unknown"),
        (count(counts["vocabulary"]), "words"),
        (count(counts["ngrams"]), f"n-grams up to order {measures['order']}"),
    ]

    def draw(axes: Any) -> None:
        values = measures["reference"]
        share = [place / (len(values) - 1) for place in range(len(values))]
        axes.plot(values, share, color="#0b6e99", linewidth=2)
        axes.set_xscale("log")
        for cut in ("head_below", "middle_below"):
            axes.axvline(headline[cut], color="#b4690e", linewidth=1.2, linestyle="--")
        axes.set_xlabel("perplexity, a word")
        axes.set_ylabel("share of the reference below it")

    return page(
        name,
        "Language model",
        words,
        tiles,
        [section("Reference documents", picture(draw, "Perplexities of the reference", (9.2, 3.6)))],
        (
            (
                "perplexity",
                "How many words the model would find equally likely, on average; of two models not comparable.",
            ),
            ("head, middle, tail", "Below the declared percentiles of the reference documents' perplexities (CCNet)."),
        ),
    )


def calibration_html(measures: Measures) -> str:
    """The page of the language identification's calibration."""
    rows = [
        (row["language"], count(row["texts"]), percent(row["right"]), row["taken_for"] or DASH)
        for row in sorted(measures["languages"], key=lambda row: (row["right"], row["language"]))
    ]
    before, after = measures["before"]["expected_error"], measures["after"]["expected_error"]
    words = (
        f"The language is right for {percent(measures['accuracy'])} of {count(measures['texts']['measured'])} labelled "
        f"texts; calibration moves the mean error of the scores from {number(before)} to {number(after)}."
    )
    tiles = [
        (percent(measures["accuracy"]), "right"),
        (number(before), "calibration error before"),
        (number(after), "after"),
    ]
    languages = table(("language", "texts", "right", "most often taken for"), rows, (1, 2))
    curves = [("before", measures["before"]), ("after", measures["after"])]
    return page(
        "Language identification",
        "Calibration",
        words,
        tiles,
        [section("Calibration", _reliability(curves)), section("Languages", languages, note="Worst first.")],
        (_CALIBRATION, _HELD_OUT),
    )


def annotation_html(name: str, measures: Measures) -> str:
    """The page of one set of labels."""
    words = (
        f"{count(measures['labels'])} labels of {count(measures['documents'])} documents by "
        f"{len(measures['annotators'])} people; {count(measures['unresolved'])} documents have no label that the "
        "people agree on."
    )
    tiles = [
        (number(measures["krippendorff_alpha"]), "Krippendorff's alpha"),
        (number(measures["fleiss_kappa"]), "Fleiss' kappa"),
        (count(measures["resolved"]), "documents with a label"),
    ]
    pairs = [
        (" and ".join(row["annotators"]), count(row["documents"]), number(row["cohen_kappa"]), number(row["span_f1"]),
         number(row["span_character_f1"]))
        for row in measures["pairs"]
    ]  # fmt: skip
    headers = ("people", "documents of both", "Cohen's kappa", "F1 of equal spans", "F1 of their characters")
    labels = table(("label", "documents"), [(label, count(n)) for label, n in measures["by_label"].items()], (1,))
    return page(
        name,
        "Annotations",
        words,
        tiles,
        [section("Agreement", table(headers, pairs, (1, 2, 3, 4))), section("Labels", labels)],
        (
            (
                "kappa, alpha",
                "1 is full agreement, 0 what chance would give; below 0.67 labels say little (Krippendorff).",
            ),
        ),
    )


def _curve(measures: Measures) -> Markup:
    headline, curve = measures["headline"], measures["curve"]

    def draw(axes: Any) -> None:
        axes.plot(curve["recall"], curve["precision"], color="#0b6e99", linewidth=2)
        axes.plot([headline["recall"]], [headline["precision"]], "o", color="#b4690e")
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)

    return picture(draw, "Precision over recall", (5.2, 3.6))


def _reliability(curves: Sequence[tuple[str, Measures]]) -> Markup:
    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=1, linestyle="--")
        for (label, found), colour in zip(curves, ("#0b6e99", "#b4690e"), strict=False):
            axes.plot(found["predicted"], found["observed"], "o-", color=colour, linewidth=1.6, label=label)
        if len(curves) > 1:
            axes.legend(frameon=False)
        axes.set_xlabel("probability given")
        axes.set_ylabel("share that was so")

    bins = [
        (label or "all", number(p), number(o), count(n))
        for label, found in curves
        for p, o, n in zip(found["predicted"], found["observed"], found["count"], strict=True)
    ]
    figure = picture(draw, "Calibration curve", (5.2, 3.6))
    return tag("div", figure, table(("", "probability given", "share that was so", "examples"), bins, (1, 2, 3)))


def _classes(measures: Measures) -> Markup:
    rows = [
        (row["label"], count(row["examples"]), percent(row["precision"]), percent(row["recall"]), number(row["f1"]))
        for row in measures["classes"]
    ]
    names = [row["label"] for row in measures["classes"]]
    matrix = [
        (name, *(count(value) for value in line)) for name, line in zip(names, measures["confusion"], strict=True)
    ]
    return tag(
        "div",
        table(("topic", "held out", "precision", "recall", "F1"), rows, (1, 2, 3, 4)),
        table(("", *names), matrix, range(1, len(names) + 1)),
    )


def _pseudo(measures: Measures) -> Markup | None:
    found = measures.get("pseudo_labels")
    if found is None:
        return None
    before, after = found["before"]["headline"], measures["headline"]
    rows = [(name, number(value), number(after[name])) for name, value in before.items()]
    added = ", ".join(f"{count(number_)} {label}" for label, number_ in found["added"].items()) or "none"
    note = f"Documents of the corpus that the first model was sure of joined the examples: {added}."
    return section("Pseudo-labels", table(("on held-out examples", "before", "after"), rows, (1, 2)), note=note)


def _examples(rows: Sequence[Measures]) -> Markup:
    cells = [
        (row["label"], row["origin"], "held out" if row["held_out"] else "trained on", count(row["count_all"]))
        for row in rows
    ]
    return table(("label", "from", "use", "examples"), cells, (3,))


def _errors(rows: Sequence[Measures]) -> Markup:
    return table(("was", "score", "text"), [(row["label"], number(row["score"]), row["text"]) for row in rows], (1,))
