"""`gristmill diff A B`: what differs between two versions of the documents, by source, stage and reason.

A side is `asset`, `asset:key`, `asset:key@n` (the n-th version of its key, from 1; `@-1` is the one before the
newest), or `corpus_snapshot@n`. Steps: both sides become units (`pipelines.corpus.changes`); their differences are
found from ids and text hashes alone; then each unit that holds one is read once more, for lengths, reasons and samples.
A reason is looked up where it was decided: in the decisions and matches that the other side was made through.
Memory: two parts, the drops of one batch, and 40 bytes for each document that differs.
"""

import difflib
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from assets.evidence import Reasons, Sizes, Tokens
from assets.versions import Side, two_sides
from assets.wording import printable
from pipelines.core.sampling import Sample, excerpt
from pipelines.corpus.changes import KINDS, Kind, Unchanged, differences
from resources.mill import Mill

DIFF_LINES, DIFF_WIDTH, DIFF_REACH = 12, 150, 400
SIDES = ("before", "after")


@dataclass
class Compared:
    """The differences of two sides, summed and sampled."""

    before: Side
    after: Side
    same: Unchanged
    cells: list[tuple[str, str, str, str, int, float, float]]
    """(kind, source, stage, reason, documents, tokens before, tokens after), most documents first."""
    samples: Sample[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], str]]
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def compare(mill: Mill, first: str, second: str, *, samples: int = 3, seed: int = 0) -> Compared:
    """Compare two references. Raises `UnknownNameError` and `RefusedRequestError` with the nearest name."""
    started = time.monotonic()
    before, after = two_sides(mill, first, second)
    same = Unchanged()
    found: dict[Kind, list[Any]] = defaultdict(list)
    for item in differences(before.units, after.units, same):
        found[item.kind].append((item.before, item.after))
    places = {kind: tuple(np.concatenate(side) for side in zip(*items, strict=True)) for kind, items in found.items()}
    tokens = Tokens(mill)
    reasons = Reasons(mill, before, after)
    result = Compared(before, after, same, [], Sample(samples, seed))
    for kind in KINDS:
        if kind in places:
            result.cells += _measure(kind, places[kind][0], places[kind][1], result, tokens, reasons)
    result.notes = tokens.notes()
    result.seconds = time.monotonic() - started
    return result


def _measure(
    kind: Kind,
    before: npt.NDArray[np.int32],
    after: npt.NDArray[np.int32],
    result: Compared,
    tokens: Tokens,
    reasons: Reasons,
) -> list[tuple[str, str, str, str, int, float, float]]:
    """The cells of one kind; every unit that holds one of its documents is read once."""
    count = len(before)
    sizes = {name: Sizes(np.zeros(count), np.zeros(count), np.zeros(count, bool)) for name in SIDES}
    codes, names = np.zeros(count, np.int32), dict[tuple[str, str, str], int]()
    lead = "after" if kind in ("added", "changed", "moved") else "before"
    for name, side, places in (("before", result.before, before), ("after", result.after, after)):
        order = np.argsort(places[:, 0], kind="stable")
        bounds = np.flatnonzero(np.diff(places[order, 0], prepend=-2, append=-2))
        for start, stop in pairwise(bounds):
            mine = order[start:stop]
            unit = int(places[mine[0], 0])
            if unit < 0:
                continue
            key, part = side.parts[unit]
            rows = pa.array(places[mine, 1], pa.int64())
            table = side.artifacts[key].table(part, "documents", ["id", "text"]).take(rows)
            for whole, part_of in zip(sizes[name], tokens.of(key, part.name, table), strict=True):
                whole[mine] = part_of
            if name != lead:
                continue
            source = key.partition(".")[0]
            said = reasons.of(kind, key, part, table["id"], places[mine], before[mine], after[mine])
            for position, (stage, reason) in zip(mine.tolist(), said, strict=True):
                codes[position] = names.setdefault((source, stage, reason), len(names))

            def row_of(at: int, mine: Any = mine, said: Any = said) -> Any:
                return before[mine[at]], after[mine[at]], ": ".join(word for word in said[at] if word)

            result.samples.offer(kind, table["id"], row_of)
    frame = (
        pl.DataFrame({"code": codes, **_both(sizes["before"], sizes["after"], tokens)})
        .group_by("code")
        .agg(pl.len(), pl.col("before", "after").sum())
    )
    spelled = list(names)
    cells = [(kind, *spelled[code], documents, left, right) for code, documents, left, right in frame.rows()]
    return sorted(cells, key=lambda cell: (-cell[4], cell[1:4]))


def _both(before: Sizes, after: Sizes, tokens: Tokens) -> dict[str, npt.NDArray[np.float64]]:
    """Tokens of both sides; a text whose other version was counted is estimated by the bytes a token has in that one,
    so that an edit of a few words does not drown in the difference between a document and its source."""
    result = {}
    for name, mine, other in (("before", before, after), ("after", after, before)):
        known = other.counted & ~mine.counted & (other.bytes > 0)
        share = np.divide(other.tokens, other.bytes, out=np.zeros(len(known)), where=known)
        result[name] = np.where(known, mine.bytes * share, mine.tokens)
        tokens.counted += int(mine.counted.sum())
        tokens.texts += int((mine.bytes > 0).sum())
    return result


def lines_of(compared: Compared) -> Iterator[str]:
    """The comparison as text."""
    before, after = compared.before, compared.after
    rows = [sum(unit.rows for unit in side.units) for side in (before, after)]
    yield f"{before.name}: {rows[0]:,} documents   {after.name}: {rows[1]:,} documents"
    yield f"unchanged {compared.same.documents:,}" + "".join(
        f", {kind} {sum(cell[4] for cell in compared.cells if cell[0] == kind):,}" for kind in KINDS
    )
    for kind in KINDS:
        cells = [cell for cell in compared.cells if cell[0] == kind]
        if not cells:
            continue
        yield ""
        yield f"{kind:<16}{'documents':>10}{'tokens before':>15}{'after':>13}  stage and reason"
        for _, source, stage, reason, documents, left, right in cells:
            why = ": ".join(word for word in (stage, reason) if word)
            yield f"  {source:<14}{documents:>10,}{left:>15,.0f}{right:>13,.0f}  {why}"
        for row in compared.samples.rows(kind):
            yield from _sample_lines(compared, kind, *row)
    yield ""
    yield from compared.notes
    yield f"compared in {compared.seconds:.1f} s"


def _sample_lines(
    compared: Compared, kind: str, before: npt.NDArray[np.int32], after: npt.NDArray[np.int32], why: str
) -> Iterator[str]:
    rows = [
        _row(side, place)
        for side, place in ((compared.before, before), (compared.after, after))
        if place[0] >= 0
    ]  # fmt: skip
    ids = " -> ".join(dict.fromkeys(row["id"].hex() for row in rows))
    yield f"    {ids}  {printable(why)}  {printable(rows[-1]['url'] or '')}".rstrip()
    if kind != "changed":
        yield f"        {printable(excerpt(rows[-1]['text'], 110))}"
        return
    for line in text_difference(rows[0]["text"], rows[1]["text"]):
        yield f"        {printable(line)}"


def _row(side: Side, place: npt.NDArray[np.int32]) -> dict[str, Any]:
    key, part = side.parts[int(place[0])]
    table = side.artifacts[key].table(part, "documents", ["id", "url", "text"])
    row: dict[str, Any] = table.slice(int(place[1]), 1).to_pylist()[0]
    return row


def text_difference(before: str, after: str) -> Iterator[str]:
    """A unified diff of two texts with one line of context: its first lines, long ones from where they differ.

    The matcher's time is quadratic, so it is given `DIFF_REACH` lines from the first that differs on.
    """
    old, new = before.splitlines(), after.splitlines()
    first = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    window = slice(max(0, first - 1), first + DIFF_REACH)
    lines = list(difflib.unified_diff(old[window], new[window], lineterm="", n=1))[3:]
    yield f"@ line {first + 1}"
    for number, line in enumerate(lines[:DIFF_LINES]):
        partner = lines[number + 1 : number + 2] if line.startswith("-") else lines[max(number - 1, 0) : number]
        yield _cut(line, partner[0] if partner and {line[:1], partner[0][:1]} == {"-", "+"} else "")
    if len(lines) > DIFF_LINES:
        yield f"... {len(lines) - DIFF_LINES} more lines"


def _cut(line: str, partner: str) -> str:
    """A line in `DIFF_WIDTH` characters; one that has a partner is shown from a little before they part."""
    if len(line) <= DIFF_WIDTH:
        return line
    shared = next((at for at, (a, b) in enumerate(zip(line[1:], partner[1:], strict=False)) if a != b), 0)
    start = max(0, shared - DIFF_WIDTH // 3) if partner else 0
    words = line[1 + start : start + DIFF_WIDTH]
    return f"{line[0]}{'…' if start else ''}{words}{'…' if start + DIFF_WIDTH < len(line) else ''}"
