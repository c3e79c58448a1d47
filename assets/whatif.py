"""`gristmill what-if`: how many documents and tokens other rules would keep, and which documents would change sides.

It reads decisions, signals and token indexes of every batch, a part at a time, and writes nothing.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.corpus.filters import families, filter_config
from pipelines.core.artifacts import Artifact
from pipelines.core.errors import UnknownNameError
from pipelines.core.manifest import Part
from pipelines.core.sampling import Sample, excerpt
from pipelines.corpus.filters.config import FilterConfig
from pipelines.corpus.filters.edits import edited, nearest, parse_edit
from pipelines.corpus.filters.whatif import CHARACTERS_SIGNAL, JudgedPart, Mover, WhatIf, columns_of_rules
from resources.mill import Mill

UNREAD = ("text", "meta")
"""Columns of documents that no rule looks at and that are large."""


@dataclass
class Answer:
    """What was asked, what came out, and what could not be asked."""

    tokenizer: str | None
    filters: dict[str, FilterConfig]
    changed: dict[str, list[str]]
    """Source -> its rules that differ from the project file's, in words."""
    result: WhatIf
    batches: int = 0
    left_out: list[str] = field(default_factory=list)
    edited_since: list[str] = field(default_factory=list)
    """Batches whose stored decisions rest on other rules than the project file has now."""
    seconds: float = 0.0


Collect = Callable[[str, pa.Table], None]


def what_if(
    mill: Mill,
    edits: list[str],
    *,
    tokenizer: str | None = None,
    samples: int = 5,
    seed: int = 0,
    collect: Collect = lambda source, sides: None,
) -> Answer:
    """Judge every document by the edited rules.

    `collect(source, table)` is given every part's `id, kept_now, kept_then`. Raises `BadEditError` and
    `UnknownNameError` for what names nothing.
    """
    started = time.monotonic()
    sources = mill.project.corpus.sources
    known = list(mill.project.tokenizers)
    if tokenizer is not None and tokenizer not in known:
        raise UnknownNameError(f"there is no tokenizer {tokenizer!r}{nearest(tokenizer, known)}")
    chosen = tokenizer or next(iter(known), None)
    before = {name: source.filter for name, source in sources.items()}
    parsed = [parse_edit(edit, sources) for edit in edits]
    filters = edited(before, parsed, _signal_names(mill))
    answer = Answer(
        tokenizer=chosen,
        filters=filters,
        changed={name: found for name in sources if (found := _differences(before[name], filters[name]))},
        result=WhatIf(Sample(samples, seed)),
    )
    for key in mill.sealed():
        reason = _judge_batch(mill, key, answer, collect)
        if reason:
            answer.left_out.append(f"{key}: {reason}")
        else:
            answer.batches += 1
    answer.seconds = time.monotonic() - started
    return answer


def _judge_batch(mill: Mill, key: str, answer: Answer, collect: Collect) -> str | None:
    """Every part of a batch; or why it cannot be judged."""
    crawled, signals = mill.store.latest("crawled_text", key), mill.store.latest("quality_signals", key)
    filtered = mill.store.latest("filtered_documents", key)
    if crawled is None or signals is None or filtered is None:
        return "its rules have decided nothing yet"
    inputs = filtered.manifest.inputs
    if inputs["documents"].content != crawled.content or inputs["signals"].content != signals.content:
        return "its decisions rest on older text or signals: `gristmill run` brings them up to date"
    source = key.partition(".")[0]
    stale = filtered.manifest.config != filter_config(mill.project, key)
    if stale:
        answer.edited_since.append(key)
    judged = answer.filters[source] if stale or source in answer.changed else None
    arrays = mill.store.latest(f"{answer.tokenizer}/token_arrays", key) if answer.tokenizer else None
    for part in crawled.parts:
        if "documents" in part.files:
            tables = _tables(mill, crawled, signals, part, judged)
            decisions = filtered.table(_named(filtered, part.name), "decisions")
            piece = JudgedPart(
                key=key,
                name=part.name,
                source=source,
                tables=tables,
                decisions=decisions,
                tokens=_tokens(arrays, part.name),
                characters=_characters(crawled, part, tables),
                filter=judged,
            )
            collect(source, answer.result.judge(piece))
    return None


def _tables(
    mill: Mill, crawled: Artifact, signals: Artifact, part: Part, judged: FilterConfig | None
) -> dict[str, pa.Table]:
    """The documents without text, and the columns of the families that the rules look at."""
    names = [name for name in _columns(crawled, part, "documents") if name not in UNREAD]
    tables = {"documents": crawled.table(part, "documents", names)}
    mine = _named(signals, part.name)
    for family in families(mill.project):
        columns = columns_of_rules(judged or FilterConfig(), _columns(signals, mine, family))
        tables[family] = signals.table(mine, family, columns)
    return tables


def _characters(crawled: Artifact, part: Part, tables: dict[str, pa.Table]) -> pa.Array:
    for table in tables.values():
        if CHARACTERS_SIGNAL in table.column_names:
            return table[CHARACTERS_SIGNAL].combine_chunks()
    return pc.utf8_length(crawled.table(part, "documents", ["text"])["text"]).combine_chunks()


def _tokens(arrays: Artifact | None, name: str) -> pa.Table:
    """`id, tokens` of the documents of a part that are in the arrays, training and held out alike."""
    tables = [
        arrays.table(part, role, ["id", "length"])
        for part in (arrays.parts if arrays else ())
        if part.name == name
        for role in ("train_index", "heldout_index")
    ]
    empty = pa.schema([("id", pa.binary(16)), ("length", pa.int32())]).empty_table()
    table = pa.concat_tables([table.cast(empty.schema) for table in tables]) if tables else empty
    return pa.table({"id": table["id"], "tokens": table["length"].cast(pa.int64())})


def _named(artifact: Artifact, name: str) -> Part:
    return next(part for part in artifact.parts if part.name == name)


def _columns(artifact: Artifact, part: Part, role: str) -> list[str]:
    return list(pq.read_schema(artifact.path(part, role)).names)


def _signal_names(mill: Mill) -> list[str]:
    """Columns of every family, from the first batch that has signals."""
    for key in mill.sealed():
        signals = mill.store.latest("quality_signals", key)
        for part in signals.parts if signals is not None else ():
            names = [name for family in families(mill.project) for name in _columns(signals, part, family)]
            return [name for name in dict.fromkeys(names) if name not in ("id", "text_hash")]
    return []


def _differences(before: FilterConfig, after: FilterConfig) -> list[str]:
    """Rules that differ, in words."""
    old = {rule.name: rule for rule in before.resolved()}
    new = {rule.name: rule for rule in after.resolved()}
    said = [f"{name}: no longer applied" for name in old if name not in new]
    for name, rule in new.items():
        if name not in old:
            said.append(f"{_spoken(rule)} (new)")
        elif old[name] != rule:
            said.append(f"{_spoken(rule)} (was {_spoken(old[name], brief=True)})")
    return said


def _spoken(rule: Any, brief: bool = False) -> str:
    values = rule.identity()
    words = f"{values.get('op', '')} {shown(values.get('value'))}".strip()
    tail = ", only flagged" if values.get("action") == "flag" else ""
    return f"{words}{tail}" if brief else f"{rule.name}: {values.get('signal', '')} {words}{tail}"


def shown(value: Any) -> str:
    """A value or threshold for people."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)


@contextmanager
def listed(path: Path | None) -> Iterator[Collect]:
    """A `collect` that writes the documents that change sides to a TSV file, or that forgets them."""
    if path is None:
        yield lambda source, sides: None
        return
    with path.open("w", encoding="utf-8") as stream:
        stream.write("id\tsource\tside\n")

        def collect(source: str, sides: pa.Table) -> None:
            moved = sides.filter(pc.not_equal(sides["kept_now"], sides["kept_then"]))
            for row in moved.to_pylist():
                stream.write(f"{row['id'].hex()}\t{source}\t{'gained' if row['kept_then'] else 'lost'}\n")

        yield collect


def lines_of(mill: Mill, answer: Answer) -> Iterator[str]:
    """The answer as text."""
    result = answer.result
    for source, rules in answer.changed.items():
        for number, rule in enumerate(rules):
            yield f"{source if not number else '':<16}{rule}"
    if not answer.changed:
        yield "the edits are what the project file says already"
    for by in ("source", "language"):
        yield ""
        yield (
            f"{by:<16}{'documents kept':>16}{'then':>12}{'change':>10}   {'tokens kept':>14}{'then':>14}{'change':>12}"
        )
        for name, now, then, tokens_now, tokens_then in result.totals(by):
            if by == "language" and not now and not then:
                continue
            yield f"{name:<16}{now:>16,}{then:>12,}{then - now:>+10,}   {_token_cells(tokens_now, tokens_then)}"
    for side, verb in (("lost", "would be dropped"), ("gained", "would be kept")):
        rules_of = {(source, rule): n for (of, source, rule), n in result.by_rule.items() if of == side}
        yield ""
        yield f"{sum(rules_of.values()):,} documents {verb}" + (":" if rules_of else "")
        for (source, rule), documents in sorted(rules_of.items(), key=lambda item: (-item[1], item[0])):
            yield f"  {documents:>9,}  {source}: {'first by' if side == 'lost' else 'dropped now by'} {rule}"
        for mover in result.samples.rows(side):
            yield from _mover(mill, mover)
    yield ""
    yield from _notes(answer)


def _token_cells(now: float | None, then: float | None) -> str:
    if now is None or then is None:
        return f"{'-':>14}{'-':>14}{'-':>12}"
    return f"{now:>14,.0f}{then:>14,.0f}{then - now:>+12,.0f}"


def _mover(mill: Mill, mover: Mover) -> Iterator[str]:
    crawled = mill.get("crawled_text", mover.key)
    texts = crawled.table(_named(crawled, mover.part), "documents", ["id", "text"])
    row = pc.index(texts["id"], pa.scalar(mover.id, texts["id"].type)).as_py()
    value = f"{mover.signal or mover.rule} = {shown(mover.value)}"
    if mover.threshold is not None:
        value += f", threshold {'is' if mover.side == 'gained' else 'then'} {shown(mover.threshold)}"
    yield f"  {mover.id.hex()}  {mover.source}  {value}  {printable(mover.url or '')}".rstrip()
    yield f"      {printable(excerpt(texts['text'][row], 110))}"


def printable(text: str) -> str:
    """Text of a crawl for a terminal: what would move the cursor or turn the line around is shown as an escape."""
    return "".join(
        item if item.isprintable() else item.encode("unicode_escape", "surrogatepass").decode() for item in text
    )


def _notes(answer: Answer) -> Iterator[str]:
    share = answer.result.estimated_share()
    if answer.tokenizer is None:
        yield "The project has no tokenizer: tokens are not known."
    elif answer.result.characters_per_token("") is None:
        yield f"Nothing is tokenized by {answer.tokenizer} yet: tokens are not known."
    else:
        ratios = {name: answer.result.characters_per_token(name) for name in answer.result.characters}
        spoken = ", ".join(f"{name} {ratio:.2f}" for name, ratio in sorted(ratios.items()) if ratio)
        yield (
            f"Tokens of {answer.tokenizer}: counted in its arrays; for {share:.1%} of the documents above, which are not "
            f"in them, estimated by characters a token of their source ({spoken})."
        )
    yield (
        "These are decisions of the filter alone. What comes after it is not claimed: duplicates, removals and held-out "
        "documents change with what the filter keeps."
    )
    if answer.edited_since:
        names = ", ".join(answer.edited_since[:6])
        yield f"Edited since its last run, so part of the change is the project file's own: {names}."
    for reason in answer.left_out:
        yield f"Left out: {reason}."
    yield f"{answer.batches} batches in {answer.seconds:.1f} s; nothing was computed or changed in the store."
