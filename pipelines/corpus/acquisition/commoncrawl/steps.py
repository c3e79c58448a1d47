"""A step of the look-up: the rows of one index page or row group that are wanted, and why the others are not."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from pipelines.corpus.acquisition.commoncrawl.rows import Conditions, IndexRow


class Step(NamedTuple):
    """`seen = len(rows) + sum(refused)`; `last` ends the unit."""

    rows: list[IndexRow]
    seen: int
    refused: Mapping[str, int]
    last: bool


class Index(Protocol):
    """Where rows are looked up: units of a crawl in a fixed order, each read in steps of which some are known."""

    def units(self, crawl: str) -> list[str]: ...

    def read(self, crawl: str, unit: str, skip: int) -> Iterator[Step]: ...


def tally(
    rows: Iterable[IndexRow | None], judge: Conditions, *, last: bool, before: Mapping[str, int] | None = None
) -> Step:
    """A step of judged rows; None stands for one that could not be read, `before` counts rows refused unread."""
    refused: Counter[str] = Counter(before or {})
    wanted: list[IndexRow] = []
    for row in rows:
        reason = "bad_row" if row is None else judge.refusal(row)
        if reason is None and row is not None:
            wanted.append(row)
        else:
            refused[str(reason)] += 1
    return Step(wanted, len(wanted) + refused.total(), dict(refused), last)
