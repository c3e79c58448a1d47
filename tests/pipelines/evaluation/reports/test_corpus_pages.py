"""Pages about documents: everything is on them, hostile text is text, and the data alone draws them again."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.decisions import decide, explain_row
from pipelines.corpus.filters.rules import Rule
from pipelines.evaluation.reports import profile
from pipelines.evaluation.reports.batch import batch_report_html
from pipelines.evaluation.reports.batch import headline as batch_headline
from pipelines.evaluation.reports.corpus import corpus_report_html
from pipelines.evaluation.reports.corpus_data import (
    BatchReport,
    BatchRow,
    CorpusReport,
    LanguageRow,
    RatioRow,
    RuleRow,
    SampledDocument,
    SampleGroup,
    SourceRow,
    TokenRow,
    batch_report_of,
    corpus_report_of,
    is_near,
    report_json,
    verdict_of,
)
from pipelines.evaluation.reports.data import Digest, FunnelRow, SignalTable
from pipelines.evaluation.reports.document import DocumentStory, Stage, document_html, outcome, story_json, story_of
from pipelines.evaluation.reports.drift import Drift
from pipelines.evaluation.reports.histogram import histogram_svg
from pipelines.evaluation.shares import Share

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"' </style></title></details> \x00 \u202e \ud800 三国 &lt;"
)
RULES = (
    Rule(name="min_words", signal="n_plain_words", op=">=", value=50),
    Rule(name="max_hashes", signal="hashes", op="<=", value=0.1, action="flag"),
    Rule(name="german", signal="language", op="in", value=("de",), languages=("de",)),
)


def verdicts(words, hashes, language="en"):
    row = {"n_plain_words": words, "hashes": hashes, "language": language}
    return tuple(verdict_of(item) for item in explain_row(row, RULES))


def sampled(text=HOSTILE):
    return SampledDocument("ab" * 16, text, text, 9, text, verdicts(46, 0.2))


def batch(text=HOSTILE):
    shape = profile.histogram("n_plain_words", np.arange(100.0), np.arange(100) >= 50, [("min_words", ">=", 50.0)])
    return BatchReport(
        key="web.first",
        source=text,
        domain=text,
        licence=text,
        origin=text,
        funnel=(FunnelRow("extraction", 120, 100, {text: 20}), FunnelRow("quality rules", 100, 50, {"min_words": 50})),
        rules=(RuleRow("min_words", f"n_plain_words >= {text}", "drop", 60, 50, 40, 10),),
        histograms=(replace(shape, signal=text),),
        languages=(LanguageRow(text, 100, 50),),
        tokens=(TokenRow("bpe", 1000, 10, 3.5),),
        previous="web.zeroth",
        drifts=(Drift(text, 0.5, 0.1, 0.25, text, text), Drift("calm", 0.01, 0.1, 0.25, "a", "b")),
        samples=(SampleGroup(None, 50, (sampled(text),)), SampleGroup("min_words", 50, (sampled(text),))),
        digests=(Digest(text, "0" * 64),),
        shares=(Share(text, text, "topic", text, text, 3, 40, None),),
        signals=(SignalTable(text, text, (text,), (("best, ensemble", (0.123,)),), True),),
        encodings={text: 117, "cp1252": 3},
        replaced=41,
        warnings=(f"quality_signals: refused {text}",),
    )


def story(text=HOSTILE):
    return DocumentStory(
        id="ab" * 16, key="web.first", part="0", url=text, locator=text, fetched_at=None, declared_language=text,
        characters=9, text_hash="cd" * 16, text=text, meta=text,
        stages=(Stage("source_files", text, None, ((text, text),)), Stage("filtered_documents", "dropped: x", False)),
        verdicts=verdicts(46, 0.2), signals=(("statistics", text, text),), notes=(text,),
    )  # fmt: skip


def corpus(text=HOSTILE):
    return CorpusReport(
        project=text,
        tokenizer="bpe",
        funnel=(FunnelRow("extraction", 10, 8, {text: 2}),),
        sources=(SourceRow(text, text, text, 1, {"found": 10, "extraction": 8}, {text: 2}, 50),),
        batches=(BatchRow(text, "batch_report_x.html", 8, 8, 50), BatchRow("web.b", None, 0, 0, 0, text)),
        digests=(Digest(text, "0" * 64),),
        shares=(Share(text, text, "topic", text, text, 3, 40, 9), Share("a", "b", "language", "", text, 3, 40, 9)),
        ratios=(RatioRow(text, 0.5, False, True), RatioRow(text, None, True, False)),
        signals=(SignalTable(text, text, (text,), (("one and two", (0.77,)),), False),),
    )


def test_what_judges_and_what_was_read_is_on_the_pages():
    page = batch_report_html(batch("x"))
    for shown in ("best, ensemble", "12.3 %", "97.5 %", "cp1252", "41 characters", "quality_signals: refused x"):
        assert shown in page, shown
    plain = batch_report_html(replace(batch("x"), signals=(), encodings={}, warnings=()))
    assert "Encodings" not in plain and "Warnings" not in plain
    assert "0.77" in corpus_report_html(corpus("x"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "(no visible text)"),
        ("a short one", "a short one"),
        ("word " * 60, "word " * 21 + "word…"),
        ("字" * 300, "字" * 110 + "…"),
    ],
)
def test_the_folded_line_of_a_document_is_cut_between_words(text, shown):
    document = replace(sampled("x"), excerpt=text, characters=len(text))
    page = batch_report_html(replace(batch("x"), samples=(SampleGroup(None, 1, (document,)),)))
    assert f"<summary>{shown}<span" in page


@pytest.mark.parametrize(
    ("group", "note"),
    [
        (SampleGroup(None, 1, (sampled("x"),)), "The one document that no rule drops."),
        (SampleGroup("long", 2, (sampled("x"),) * 2), "All 2 documents that it drops before any other rule."),
        (
            SampleGroup("long", 9, (sampled("x"),), True),
            "1, drawn at random, of 9 documents that it flags, and does not drop.",
        ),
    ],
)
def test_a_sample_says_what_it_is_drawn_from(group, note):
    assert note in batch_report_html(replace(batch("x"), samples=(group,)))


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen, self.attributes = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes += attrs


@pytest.mark.parametrize("page", [batch_report_html(batch()), document_html(story()), corpus_report_html(corpus())])
def test_hostile_text_stays_text_and_the_page_needs_nothing_else(page):
    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    assert not {"script", "img", "link", "iframe"} & parser.seen
    assert not [name for name, _ in parser.attributes if name.startswith("on")]
    for name, value in parser.attributes:
        if name in ("src", "href"):
            assert re.fullmatch(r"batch_report_[a-z.]+\.html", value)
    assert "default-src &#x27;none&#x27;" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not re.search("[\x00\u202e\ud800]", page)


def test_pages_are_drawn_again_from_their_data():
    plain = batch("web")
    assert batch_report_of(report_json(plain)) == plain
    assert batch_report_html(batch_report_of(report_json(plain))) == batch_report_html(plain)
    assert corpus_report_of(report_json(corpus("web"))) == corpus("web")
    assert story_of(story_json(story("web"))) == story("web")


def test_every_rule_value_threshold_and_verdict_is_on_the_page():
    page = document_html(story("web"))
    for row in (
        ("FAIL", "min_words", "n_plain_words", "46", "&gt;= 50"),
        ("flag", "max_hashes", "hashes", "0.2", "&lt;= 0.1"),
        ("n/a", "german", "language", "en", "in de"),
    ):
        cells = r".*?".join(re.escape(cell) for cell in row)
        assert re.search(rf"<tr>(?:(?!</tr>).)*?{cells}", page), row
    assert page.count('class="near"') == 1, "46 is within a tenth of 50; 0.2 is not of 0.1"
    assert "It fails min_words." in page


def test_the_headline_says_what_matters():
    words = batch_headline(batch("web"))
    assert "keep 50 of 100 documents" in words and "min_words (50)" in words
    assert "Unlike web.zeroth, the batch before: web differs" in words
    assert "No document came" in batch_headline(replace(batch("web"), languages=()))
    assert outcome(story("web")) == "Dropped: x (filtered_documents)."


def test_pages_of_nothing_are_drawn():
    empty = replace(
        batch("web"), funnel=(), rules=(), histograms=(), languages=(), tokens=(), previous=None, drifts=(), samples=()
    )
    assert "first batch of its source" in batch_report_html(empty)
    assert "No rules are declared" in batch_report_html(empty)
    bare = corpus_report_html(CorpusReport("p", None, (), (), ()))
    assert "no document yet" in bare


@pytest.mark.parametrize(
    ("value", "threshold", "near"),
    [(45, 50, True), (44.9, 50, False), (55, 50, True), (0, 0, False), (0.001, 0, False), (None, 5, False),
     ("en", "en", False), (float("nan"), 5.0, False), (True, 1, False), (-9.5, -10, True)],
)  # fmt: skip
def test_near_is_within_a_tenth(value, threshold, near):
    assert is_near(value, threshold) is near


NUMBERS = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, float("nan")]), min_size=1, max_size=60)


@given(NUMBERS, st.data())
@settings(max_examples=120, deadline=None)
def test_a_histogram_counts_every_document_once(values, data):
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    threshold = data.draw(st.floats(-1e6, 1e6))
    found = profile.histogram("x", np.array(values), kept, [("rule", "<=", threshold)])
    known = ~np.isnan(values)
    if not known.any():
        assert found is None
        return
    assert sum(found.kept) == (kept & known).sum() and sum(found.dropped) == (~kept & known).sum()
    assert found.missing == (~known).sum()
    assert all(a < b for a, b in zip(found.edges, found.edges[1:], strict=False))
    drawing = ElementTree.fromstring(histogram_svg(found))
    assert {element.tag for element in drawing.iter()} <= {"svg", "g", "rect", "line", "text", "title"}


def test_whole_numbers_have_bars_of_their_own_and_the_threshold_lies_between_two():
    found = profile.histogram("n", np.array([1.0, 2, 2, 3]), np.array([False, True, True, True]), [("r", ">=", 2.0)])
    assert found.edges == (0.5, 1.5, 2.5, 3.5) and found.kept == (0, 2, 1) and found.dropped == (1, 0, 0)
    line = re.search(r'<line x1="([0-9.]+)"', str(histogram_svg(found)))
    assert float(line[1]) == pytest.approx(6 + (320 - 12) / 3, abs=0.1)


def test_rules_are_tallied_by_first_alone_and_near():
    signals = pa.table(
        {
            "id": pa.array([bytes([n]) * 16 for n in range(5)], pa.binary(16)),
            "n_plain_words": [10, 46, 54, 100, 100],
            "hashes": [0.5, 0.0, 0.0, 0.5, 0.1],
            "language": ["en", "en", "de", "de", "en"],
        }
    )
    rules = (RULES[0], Rule(name="hashes", signal="hashes", op="<=", value=0.1), RULES[1])
    decided = decide(signals, rules)
    rows = profile.rule_rows(
        rules, lambda: iter([decided.slice(0, 2), decided.slice(2)]), lambda c: [signals.select(c)]
    )
    words, hashes, flagged = rows
    assert (words.failed, words.first, words.alone, words.near) == (2, 2, 1, 2)
    assert (hashes.failed, hashes.first, hashes.alone, hashes.near) == (2, 1, 1, 1)
    assert (flagged.failed, flagged.first, flagged.alone, flagged.action) == (2, 0, 0, "flag")


def test_languages_are_counted_with_what_was_kept():
    rows = profile.language_rows(pa.array(["en", "de", "en"]), np.array([True, False, False]))
    assert [(row.language, row.documents, row.kept) for row in rows] == [("en", 2, 1), ("de", 1, 0)]
