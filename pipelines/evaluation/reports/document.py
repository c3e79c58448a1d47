"""The page of one document: its way through every stage, every rule with its value, every signal, its text."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from pydantic import TypeAdapter

from pipelines.evaluation.reports.corpus_data import Verdict
from pipelines.evaluation.reports.corpus_parts import STYLE, facts, verdict_table
from pipelines.evaluation.reports.markup import Markup, count, join, listing, section, table, tag
from pipelines.evaluation.reports.page import page

TEXT: Final = 20_000
"""Characters of the text on the page."""
GLOSSARY: Final = (
    (
        "Verdict",
        "pass, FAIL (the rule drops the document), flag (it fails a rule that only records), n/a (the rule is for "
        "other languages). Every rule judges every document, whatever the others say.",
    ),
    ("Near", "The value is within a tenth of its threshold, on either side."),
)


@dataclass(frozen=True)
class Stage:
    """One stage: its asset, what it decided, whether the document went on (None: it decides nothing), and details."""

    asset: str
    verdict: str
    kept: bool | None
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DocumentStory:
    """Everything that the store knows of one document."""

    id: str
    key: str
    part: str
    url: str | None
    locator: str
    fetched_at: str | None
    declared_language: str | None
    characters: int
    text_hash: str
    text: str
    meta: str | None
    stages: tuple[Stage, ...]
    verdicts: tuple[Verdict, ...]
    signals: tuple[tuple[str, str, str], ...]
    """(family, signal, value) of every signal."""
    notes: tuple[str, ...] = ()


def story_json(story: DocumentStory) -> str:
    """The story as JSON with sorted keys."""
    return json.dumps(asdict(story), sort_keys=True, ensure_ascii=False, allow_nan=False)


def story_of(text: str | bytes) -> DocumentStory:
    """The story that `story_json` wrote, validated."""
    return TypeAdapter(DocumentStory).validate_json(text)


def outcome(story: DocumentStory) -> str:
    """What became of the document, in one sentence."""
    for stage in story.stages:
        if stage.kept is False:
            return f"{stage.verdict[:1].upper()}{stage.verdict[1:]} ({stage.asset})."
    last = next((stage for stage in reversed(story.stages) if stage.kept), None)
    return f"Kept as far as {last.asset}." if last else "Not judged yet."


def document_html(story: DocumentStory) -> str:
    """One self-contained page; the same story gives the same bytes."""
    failing = [item for item in story.verdicts if item.verdict == "FAIL"]
    flagged = [item for item in story.verdicts if item.verdict == "flag"]
    near = [item for item in story.verdicts if item.near and item.verdict == "pass"]
    headline = outcome(story)
    if failing:
        rules = listing([item.rule for item in failing[:4]])
        more = f" and {len(failing) - 4} more" if len(failing) > 4 else ""
        headline += f" It fails {rules}{more}."
    elif near:
        headline += f" It passes {listing([item.rule for item in near[:3]])} by less than a tenth."
    return page(
        title=story.url or story.locator,
        eyebrow=f"Document · {story.key}",
        headline=headline,
        tiles=[
            (count(story.characters), "characters"),
            (str(len(failing)), "rules failed"),
            (str(len(flagged)), "flags"),
            (str(len(near)), "passed, but near"),
        ],
        sections=[
            _way(story.stages),
            section("Rules", verdict_table(story.verdicts)),
            _text(story),
            _identity(story),
            _signals(story.signals),
            section("Notes", tag("ul", *(tag("li", note) for note in story.notes))) if story.notes else Markup(""),
        ],
        glossary=GLOSSARY,
        style=STYLE,
    )


def _way(stages: Sequence[Stage]) -> Markup:
    body = []
    for stage in stages:
        state = {True: ("kept", "kept"), False: ("dropped", "dropped"), None: ("noted", "quiet")}[stage.kept]
        details = [tag("span", tag("b", f"{label}: "), value, tag("br")) for label, value in stage.details]
        body.append(
            (
                stage.asset,
                tag("span", state[0], class_=f"badge {state[1]}"),
                join([tag("span", stage.verdict), tag("div", *details, class_="reasons") if details else None]),
            )
        )
    return section("Way through the stages", table(("Stage", "", "What it says"), body))


def _text(story: DocumentStory) -> Markup:
    left = story.characters - len(story.text[:TEXT])
    note = (
        f"As crawled_text has it; {count(left)} more characters are not shown." if left else "As crawled_text has it."
    )
    return section("Text", tag("p", story.text[:TEXT], class_="excerpt", dir="auto"), note=note)


def _identity(story: DocumentStory) -> Markup:
    rows: list[tuple[str, object]] = [
        ("id", tag("code", story.id)),
        ("batch", f"{story.key}, part {story.part}"),
        ("url", story.url),
        ("record", story.locator),
        ("fetched", story.fetched_at),
        ("declared language", story.declared_language),
        ("text hash", tag("code", story.text_hash)),
        ("metadata", story.meta),
    ]
    return section("What it is", facts(rows))


def _signals(rows: Sequence[tuple[str, str, str]]) -> Markup:
    if not rows:
        return Markup("")
    body = [(signal, value, family) for family, signal, value in rows]
    return section("Signals", table(("Signal", "Value", "Family"), body, numeric=(1,), class_="tight"))
