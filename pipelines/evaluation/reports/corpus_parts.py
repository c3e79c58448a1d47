"""Parts that pages about documents share: verdict tables, sampled documents, their style."""

from collections.abc import Sequence
from typing import Final

from pipelines.evaluation.reports.corpus_data import SampledDocument, Verdict
from pipelines.evaluation.reports.markup import Markup, count, table, tag

TITLE: Final = 110
"""Characters of a document that its folded line shows."""
FAILING: Final = 3
STYLE: Final = """
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 18px 22px; }
.plots figure { margin: 0; min-width: 0; }
.plots figcaption { font-size: 13px; line-height: 1.4; overflow-wrap: anywhere; }
.plots figcaption span { color: var(--soft); }
.histogram { width: 100%; height: auto; }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin: 0 6px 0 14px; }
.key:first-child { margin-left: 0; }
details { border-top: 1px solid var(--line); padding: 9px 0; }
details:first-of-type { border-top: 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
summary code { color: var(--soft); }
summary .where { display: block; margin: 2px 0 0 16px; }
.excerpt { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--ground); border-radius: 8px;
  padding: 10px 14px; margin: 8px 0 10px; font-size: 14px; max-height: 24em; overflow-y: auto; }
.pass { color: #5f6c7b; } .FAIL { color: #b42318; font-weight: 700; } .flag { color: #9a6700; font-weight: 600; }
.na { color: #9aa5b1; }
.near { background: #fff4ce; color: #7a5b00; border-radius: 999px; padding: 0 8px; font-size: 12px; margin-left: 8px; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0 0 12px; font-size: 14px; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
.kept { background: #d7f0e6; color: #0b5d46; } .dropped { background: #fde2d5; color: #9a3412; }
table.tight th, table.tight td { padding-top: 4px; padding-bottom: 4px; font-size: 13px; }
"""


def verdict_table(verdicts: Sequence[Verdict]) -> Markup:
    """Every rule with its value, what it must be and what came of it; failing ones first."""
    order = {"FAIL": 0, "flag": 1, "pass": 2, "n/a": 3}
    rows = [
        (
            tag("span", item.verdict, class_=item.verdict.replace("/", "")),
            item.rule,
            tag("span", item.signal, tag("span", "near", class_="near") if item.near else None),
            item.value,
            f"{item.comparison} {item.threshold}",
        )
        for item in sorted(verdicts, key=lambda item: order.get(item.verdict, 4))
    ]
    if not rows:
        return tag("p", "No rules are declared for this source: every document passes.", class_="note")
    return table(("Verdict", "Rule", "Signal", "Value", "Must be"), rows, numeric=(3,), class_="tight")


def sampled_document(document: SampledDocument) -> Markup:
    """One document of a sample, folded: its excerpt, where it is from and every verdict."""
    failing = [f"{item.signal} = {item.value}" for item in document.verdicts if item.verdict in ("FAIL", "flag")]
    return tag(
        "details",
        tag(
            "summary",
            _title(document),
            tag(
                "span",
                tag("code", document.id),
                tag("span", f" · {_first(failing)}", class_="reasons") if failing else None,
                class_="where",
            ),
        ),
        tag("p", document.excerpt, "…" if document.characters > len(document.excerpt) else None, class_="excerpt",
            dir="auto"),
        facts(
            (
                ("id", tag("code", document.id)),
                ("url", document.url),
                ("record", document.locator),
                ("length", f"{count(document.characters)} characters"),
                ("whole story", tag("code", f"gristmill explain {document.id} --html")),
            )
        ),
        verdict_table(document.verdicts),
        id=f"d{document.id}",
    )  # fmt: skip


def _title(document: SampledDocument) -> str:
    """The beginning of the text on one line, cut between words where it has spaces."""
    line = " ".join(document.excerpt[: 2 * TITLE].split())
    if len(line) <= TITLE:
        return line + "…" * (document.characters > len(document.excerpt)) or "(no visible text)"
    cut = line.rfind(" ", TITLE // 2, TITLE + 1)
    return line[: cut if cut > 0 else TITLE] + "…"


def _first(failing: Sequence[str]) -> str:
    more = len(failing) - FAILING
    return ", ".join(failing[:FAILING]) + (f" and {more} more" if more > 0 else "")


def facts(rows: Sequence[tuple[str, object]]) -> Markup:
    """Labels and values, those that are None left out."""
    pairs = [cell for label, value in rows if value is not None for cell in (tag("dt", label), tag("dd", value))]
    return tag("dl", *pairs, class_="facts")
