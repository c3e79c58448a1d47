"""Which documents people should look at, and the file that they fill in.

In: documents of some batches with their signals and decisions, part by part. 1. A choice says which rows qualify:
those that a rule judged a certain way, those with a signal inside a band, those about which two signals disagree
most, or all. 2. Of these the ones with the smallest keyed hash of their id are taken, evenly over the batches'
domains where there are several; for disagreement, those that disagree most. Out: `Sampled`, in an order that tells
nothing. Deterministic for a seed. Memory: the chosen documents.
"""

import csv
import hashlib
import heapq
import io
import json
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.errors import UnknownNameError
from pipelines.core.seeds import derive

FIELDS: Final = ("id", "text", "label", "annotator", "spans", "url", "domain", "why")


class Choice(NamedTuple):
    """What to sample: exactly one of rule, band and disagreement, or none of them for all documents."""

    rule: str | None = None
    """A rule's name; `verdict` says on which side."""
    verdict: str = "failed"
    signal: str | None = None
    low: float = float("-inf")
    high: float = float("inf")
    disagreement: tuple[str, str] | None = None
    """Two signals that are ranks or probabilities (0 to 1)."""


class Sampled(NamedTuple):
    """One document for annotation, and why it was chosen."""

    id: bytes
    text: str
    url: str | None
    domain: str
    why: str


def sample(
    parts: Iterable[tuple[pa.Table, pa.Table, pa.Table]], choice: Choice, count: int, seed: int
) -> list[Sampled]:
    """`parts` are (documents, signals, decisions) of the same rows.

    Raises `UnknownNameError` for a signal that is not there.
    """
    key = derive(seed, "annotation").to_bytes(8, "little")
    heaps: dict[str, list[tuple[float, int, Sampled]]] = {}
    for documents, signals, decisions in parts:
        wanted, priority, why = _qualifying(signals, decisions, choice)
        for row in np.flatnonzero(wanted).tolist():
            identity = documents["id"][row].as_py()
            rank = int.from_bytes(hashlib.blake2b(identity, digest_size=8, key=key).digest(), "little")
            domain = documents["domain"][row].as_py()
            heap = heaps.setdefault(domain, [])
            place = (float(priority[row]), -rank)
            if len(heap) == count and place <= heap[0][:2]:
                continue
            item = Sampled(identity, documents["text"][row].as_py(), documents["url"][row].as_py(), domain, why[row])
            heapq.heappush(heap, (*place, item))
            if len(heap) > count:
                heapq.heappop(heap)
    return _shuffled(_evenly(heaps, count), key)


def _qualifying(
    signals: pa.Table, decisions: pa.Table, choice: Choice
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64], list[str]]:
    """(which rows, how much they are wanted, why) of a part."""
    size = len(decisions)
    none = np.zeros(size)
    if choice.rule is not None:
        failures = [[item["rule"] for item in row] for row in decisions["failed"].to_pylist()]
        failed = np.array([choice.rule in row for row in failures], bool)
        return failed == (choice.verdict == "failed"), none, [f"{choice.verdict} {choice.rule}"] * size
    if choice.signal is not None:
        values = _numbers(signals, choice.signal)
        return (
            (values >= choice.low) & (values <= choice.high),
            none,
            [f"{choice.signal} {value:.4g}" for value in values],
        )
    if choice.disagreement is not None:
        first, second = (_numbers(signals, name) for name in choice.disagreement)
        gap = np.abs(first - second)
        names = choice.disagreement
        why = [f"{names[0]} {one:.3f}, {names[1]} {two:.3f}" for one, two in zip(first, second, strict=True)]
        return ~np.isnan(gap), np.nan_to_num(gap), why
    return np.ones(size, bool), none, ["any"] * size


def _numbers(signals: pa.Table, name: str) -> npt.NDArray[np.float64]:
    if name not in signals.column_names:
        known = ", ".join(signals.column_names[2:])
        raise UnknownNameError(f"no signal is called {name!r}; there are {known}")
    column = signals[name]
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise UnknownNameError(f"the signal {name!r} is no number ({column.type}): sample by a rule over it")
    return np.asarray(pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy(), np.float64)


def _evenly(heaps: dict[str, list[tuple[float, int, Sampled]]], count: int) -> list[Sampled]:
    """As many of each domain as there are, the best first, until `count`."""
    queues = [sorted(heap, reverse=True) for _, heap in sorted(heaps.items())]
    chosen: list[Sampled] = []
    for turn in range(count):
        for queue in queues:
            if turn < len(queue) and len(chosen) < count:
                chosen.append(queue[turn][2])
    return chosen


def _shuffled(items: Sequence[Sampled], key: bytes) -> list[Sampled]:
    return sorted(items, key=lambda item: hashlib.blake2b(item.id, digest_size=8, key=key[::-1]).digest())


def to_lines(items: Sequence[Sampled], table: bool) -> str:
    """The file that people fill in: one row a document, `label`, `annotator` and `spans` empty. JSONL, or CSV."""
    rows = [
        {"id": item.id.hex(), "text": item.text, "label": "", "annotator": "", "spans": "", "url": item.url or "",
         "domain": item.domain, "why": item.why}
        for item in items
    ]  # fmt: skip
    if not table:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
