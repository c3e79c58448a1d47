import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from pipelines.evaluation.compare import DomainComparison, RoleSummary, TaskComparison
from pipelines.evaluation.reports import (
    BaseReport,
    ComparisonReport,
    base_report_html,
    comparison_report_html,
    from_json,
    sections,
    to_json,
)
from pipelines.evaluation.reports.comparison import headline
from pipelines.evaluation.reports.data import (
    Digest,
    FunnelRow,
    Generation,
    LicenceRow,
    LossPoint,
    MixtureRow,
    ModelFacts,
    SplitRow,
)
from pipelines.evaluation.reports.splits import splits_section
from pipelines.evaluation.scores import DomainScore, Estimate, TaskScore

HOSTILE = (
    '<script>alert(1)</script><img src=x onerror=alert(1)>"\' onload="x" javascript:alert(1) &lt;b&gt; </style>'
    "</title></pre> $\\frac{a}{$ {x} %s \x00 \u202e \ud800 三国"
)


def domain(name, delta, low, high, verdict, role=None):
    return DomainComparison(
        name, role, 30, 90_000, 2.0, 2.0 + (delta or 0), Estimate(delta, low, high), 0.1, 1.1, verdict
    )


def losses(count=400):
    rng = np.random.default_rng(0)
    return tuple(LossPoint(i, 2 + 5 * math.exp(-i / 60) + float(rng.normal(0, 0.1)), 1e-3) for i in range(count))


def base_report(text="web"):
    score = Estimate(1.5, 1.4, 1.6, 0.05)
    return BaseReport(
        lane=text,
        model=ModelFacts(text, 1_234_567, 300, 2_000_000, 256, 8192),
        domains=(
            DomainScore(text, 20, 50_000, 12_000, score, 30.0),
            DomainScore("void", 0, 0, 0, Estimate(None), None, text),
            DomainScore("lone", 1, 10, 3, Estimate(2.0), 5.0, "one document: no interval"),
        ),
        tasks=(
            TaskScore(text, None, 80, Estimate(0.3, 0.2, 0.4), Estimate(0.3), Estimate(0.3), 0.25, 0.26, 3, 1, False),
            TaskScore(text, text, 20, Estimate(None), Estimate(None), Estimate(None), 0.25, 0.3, 0, 0, None, text),
        ),
        losses=losses(),
        mixture=(MixtureRow(text, 0.75, 1_500_000, 1.25), MixtureRow("books", 0.25, 500_000, None)),
        splits=(
            SplitRow(text, "topic", "new", text, 3, 1000, 0.25, 0.5, 1.0, text),
            SplitRow(text, "topic", "new", "none", 9, 3000, 0.75, 0.5, 0.1),
            SplitRow("books", "language", "all", "en", 0, 0, 0.0, 0.0, 0.0),
        ),
        funnel=(
            FunnelRow(text, 100, 80, {text: 15, "language": 5}),
            FunnelRow("nothing", 0, 0),
            FunnelRow("leaky", 10, 5, {"short": 2}),
        ),
        licences=(LicenceRow(text, text, 5, 1000), LicenceRow("books", None)),
        generations=(Generation(text, text), Generation("long", "x" * 5000)),
        digests=(Digest(text, text),),
        notes=(text,),
    )


def comparison_report(text="web"):
    domains = (
        domain(text, -0.2, -0.25, -0.15, "learned", "new"),
        domain("books", 0.05, 0.02, 0.08, "forgot", "old"),
        domain("code", 0.001, -0.01, 0.012, "within noise", "old"),
        domain("tiny", 0.1, None, None, "too few documents", "old"),
        domain("broken", None, None, None, "undefined", "old"),
    )
    mean = RoleSummary("old", 2, Estimate(0.025, 0.01, 0.04), "forgot")
    estimate = Estimate(0.05, -0.02, 0.12)
    return ComparisonReport(
        lane=text,
        round=text,
        base_model=ModelFacts(text, tokens=1_000_000),
        round_model=ModelFacts("after", tokens=1_600_000),
        domains=domains,
        summaries=(mean,),
        tasks=(
            TaskComparison(text, None, "acc", 80, 0.3, 0.35, estimate, 0.25, "within noise"),
            TaskComparison(text, text, "acc_norm", 3, 0.3, None, Estimate(None), 0.25, "too few items"),
        ),
        control=(*domains, domain("elsewhere", 0.3, 0.2, 0.4, "forgot")),
        control_summaries=(replace(mean, delta=Estimate(0.2, 0.1, 0.3)),),
        losses=losses(),
        generations=(Generation(text, text, text),),
        digests=(Digest(text, text),),
        notes=(text,),
    )


class Reader(HTMLParser):
    """Collects elements and text, and checks that what is opened is closed in order."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


PAGES = [(base_report_html, base_report), (comparison_report_html, comparison_report)]


@pytest.mark.parametrize(("draw", "data"), PAGES)
def test_hostile_text_stays_text(draw, data):
    """The same elements and attributes as for plain text: nothing of it became markup."""
    plain, hostile = read(draw(data())), read(draw(data(HOSTILE)))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert [sorted(attrs) for _, attrs in hostile.elements] == [sorted(attrs) for _, attrs in plain.elements]
    visible = "".join(hostile.words)
    assert "<script>alert(1)</script>" in visible
    assert "\\u202e" in visible
    assert not re.search("[\x00\u202e\ud800]", visible)
    draw(data(HOSTILE)).encode()


@pytest.mark.parametrize(("draw", "data"), PAGES)
def test_a_page_is_self_contained_and_inert(draw, data):
    page = draw(data())
    elements = read(page).elements
    assert not {"script", "link", "iframe", "object", "embed", "form", "a", "base"} & {tag for tag, _ in elements}
    assert not any(name.startswith("on") for _, attrs in elements for name in attrs)
    sources = [attrs["src"] for _, attrs in elements if "src" in attrs]
    assert sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert not re.search(r"url\(|@import|https?://", page)
    policy = [attrs["content"] for _, attrs in elements if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


@pytest.mark.parametrize(("draw", "data"), PAGES)
def test_the_same_data_gives_the_same_bytes(draw, data):
    page = draw(data())
    assert draw(data()) == page
    assert len(page.encode()) < 400_000
    assert not re.search(r"\b(nan|inf|None)\b", " ".join(read(page).words))


@pytest.mark.parametrize(("kind", "data"), [(BaseReport, base_report), (ComparisonReport, comparison_report)])
def test_data_survives_json(kind, data):
    report = data("a <b> 三国")
    assert from_json(kind, to_json(report)) == report
    assert to_json(from_json(kind, to_json(report))) == to_json(report)


def test_json_refuses_what_is_not_finite():
    with pytest.raises(ValueError, match="JSON"):
        to_json(replace(base_report(), losses=(LossPoint(1, float("nan")),)))


@pytest.mark.parametrize(
    "page",
    [
        base_report_html(BaseReport("nano", ModelFacts("base"), ())),
        comparison_report_html(ComparisonReport("nano", "1", ModelFacts("a"), ModelFacts("b"), ())),
    ],
)
def test_a_page_of_nothing_says_so(page):
    words = "".join(read(page).words)
    assert "No domain has held-out text" in words or "learned no domain" in words


def test_the_base_page_shows_every_figure():
    words = "".join(read(base_report_html(base_report())).words)
    for shown in (
        "1.500", "1.400 to 1.600", "one document: no interval", "20.0 to 40.0", "30.0 %", "25.0 %", "1.23 M", "75.0 %",
        "1\u2009500\u2009000", "1.25", "language 5", "3 documents unaccounted for", "not declared",
        "(2\u2009000 more characters)",
        "not distinguishable from guessing", "3 ties · 1 context cut",
    ):  # fmt: skip
        assert shown in words, shown


def test_the_comparison_page_shows_every_figure():
    words = "".join(read(comparison_report_html(comparison_report())).words)
    for shown in (
        "−0.200", "−0.250 to −0.150", "+0.050", "learned", "forgot", "within noise", "too few documents", "undefined",
        "mean of old domains", "What replay saved", "+5.0", "−2.0 to +12.0", "600 k", "elsewhere",
    ):  # fmt: skip
        assert shown in words, shown


def test_the_headline_says_what_was_learned_and_forgotten():
    assert headline(comparison_report().domains, 0.95) == (
        "The round learned web (−0.200 bits per byte, 95 % interval −0.250 to −0.150). "
        "It forgot books (+0.050 bits per byte, 95 % interval +0.020 to +0.080). "
        "code is within noise. tiny is held out with too few documents for a verdict. "
        "broken is without a verdict, for want of finite scores."
    )


def test_the_headline_names_the_largest_changes_first_and_counts_the_rest():
    many = [domain(f"d{index}", -0.1 * index, -1.0, -0.01, "learned") for index in range(1, 7)]
    sentence = headline(many, 0.9)
    assert sentence.startswith("The round learned d6 (−0.600 bits per byte, 90 % interval")
    assert "d5 (−0.500), d4 (−0.400) and 3 more. It forgot no domain." in sentence


def test_licences_are_summed_by_licence_with_their_share_of_the_training() -> None:
    rows = (
        LicenceRow("books", "CC0-1.0", 10, 1000, 4000, 0.8),
        LicenceRow("code", "MIT", 5, 500, 500, 0.1),
        LicenceRow("docs", "MIT", 1, 100, 500, 0.1),
        LicenceRow("imported weights", None),
    )
    html = sections.licences(rows)
    by_licence, _, by_source = html.partition("By source")
    assert by_licence.index("CC0-1.0") < by_licence.index("MIT") < by_licence.index("not declared")
    for words in ("code and docs", "20.0", "80.0", ">6<", ">600<", "1\u2009000<"):
        assert words in by_licence, words
    for words in ("imported weights", "10.0", "4\u2009000"):
        assert words in by_source, words


def test_a_split_is_shown_by_nature_and_by_plan_and_is_in_no_data_without_one():
    rows = (
        SplitRow("web", "topic", "new", "law", 3, 1000, 0.25, 0.5, 1.0, "held at 1 epochs"),
        SplitRow("web", "topic", "new", "none", 9, 3000, 0.75, 0.5, 0.1),
        SplitRow("books", "language", "all", "en", 0, 0, 0.0, 0.0, 0.0),
    )
    words = " ".join(read(str(splits_section(rows))).words)
    assert "web by topic, new" in words and "books by language" in words and "books by language, all" not in words
    assert words.index("none 9") < words.index("law 3"), "the largest group stands first"
    assert "25.0 % 50.0 % 2.00 × 1.00 held at 1 epochs" in words and "0.67 ×" in words
    assert splits_section(()) == ""
    report = base_report()
    assert from_json(BaseReport, to_json(report)) == report
    plain = replace(report, splits=())
    assert '"splits"' in to_json(report) and '"splits"' not in to_json(plain)
    assert from_json(BaseReport, to_json(plain)) == plain
    assert "Inside sources and domains" not in base_report_html(plain)
