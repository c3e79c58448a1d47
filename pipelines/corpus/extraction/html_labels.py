"""Which blocks of a page are kept: the most probable labelling of its tree, found exactly.

Every block gets one of two labels, kept or left out. A labelling's score is the sum of, for each kept block, the
weights of its features; and, for each place where a label changes between a block and its parent, or between
neighbours below one parent, a (negative) weight by the kind of place. The best labelling comes from dynamic programming
over the tree: given a parent's label its children are a chain, so two passes with two labels each are exact. Linear.

The weights are a table of names and numbers (`html_weights.tsv`), fitted by `tests/benchmarks/fit_extraction.py`, which
also says how well they do on hosts that they have not seen.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.corpus.extraction.html_features import FEATURES, GROUPS

Array = npt.NDArray[Any]
CHANGES: Final = (
    "kept in left out: leaf", "kept in left out: block", "kept in left out: block with most prose",
    "left out in kept: leaf", "left out in kept: block", "left out in kept: linked block",
    "left out in kept: item, cell or row",
    "left out, then kept", "left out, then kept: alike",
    "kept, then left out", "kept, then left out: alike",
)  # fmt: skip

_CODE, _TABLE, _LIST, _DEFINITIONS, _TITLE, _HEADING, _SMALL_HEADING, _ITEM, _CELL, _ROW = (
    GROUPS.index(name)
    for name in (
        "code",
        "table",
        "list",
        "definitions",
        "title",
        "heading",
        "small heading",
        "item",
        "cell",
        "row",
    )
)
_IS_DATA: Final = np.isin(GROUPS, ("code", "item", "cell", "definition"))
"""Groups whose texts may be short and yet something to read."""
LEAST_LETTERS: Final = 1000
LEAST_SHARE: Final = 0.2
LEAST_PROSE: Final = 0.3
LEAST_OWN: Final = 0.5
MOSTLY_PROSE: Final = 0.8
SHORT, LEAST_OF_SHORT = 600, 0.7
"""Letters of a page that has hardly any, so that little of it stands around its text, and the share that is kept."""
PLAIN_LETTERS: Final = 20
SMALL: Final = 200
LIFTS: Final = 8
LIFT: Final = 0.5


WEIGHTS_FILE: Final = Path(__file__).with_name("html_weights.tsv")


def _table(names: tuple[str, ...]) -> Array:
    rows = (line.split("\t") for line in WEIGHTS_FILE.read_text("utf-8").splitlines())
    weights = {name: float(weight) for name, weight in rows}
    return np.array([weights.get(name, 0.0) for name in names])


WEIGHTS: Final = _table(FEATURES)
CHANGE_WEIGHTS: Final = _table(tuple(f"change: {name}" for name in CHANGES))


@njit(cache=True, nogil=True)
def vertical(kept_above, kept, leaf, group, most, linked):  # type: ignore[no-untyped-def]
    """The number of CHANGES between a block and its parent, -1 for none."""
    if kept_above == kept:
        return -1
    if kept:
        return 0 if leaf else (2 if most else 1)
    if leaf:
        return 3
    if group in (_ITEM, _CELL, _ROW):
        return 6
    return 5 if linked else 4


@njit(cache=True, nogil=True)
def horizontal(kept_before, kept, alike):  # type: ignore[no-untyped-def]
    """The number of CHANGES between neighbours, -1 for none."""
    if kept_before == kept:
        return -1
    return (7 if kept else 9) + (1 if alike else 0)


@njit(cache=True, nogil=True)
def best_labels(unary, blocks, changes):  # type: ignore[no-untyped-def]
    """1 for the kept blocks. `unary` is the score of keeping a block, `changes` the weights of CHANGES."""
    parent, leaf, group, bits, prose = blocks.parent, blocks.leaf, blocks.group, blocks.bits, blocks.prose
    letters, linked = blocks.letters, blocks.linked
    count = len(unary)
    # chain[b, y, z]: the best of b's children seen so far (from the last), when b has label y and the first seen z.
    chain = np.zeros((count + 1, 2, 2))
    started = np.full(count + 1, -1, np.int32)  # the child seen last, which is the next sibling of the one to come
    follows = np.full((count, 2, 2), -1, np.int8)  # [block, parent's label, own label] -> label of the next sibling
    next_sibling = np.full(count, -1, np.int32)
    first_child = np.full(count + 1, -1, np.int32)
    whole = 1
    for index in range(count):
        if leaf[index]:
            whole += prose[index]
    for index in range(count - 1, -1, -1):
        above = parent[index] if parent[index] >= 0 else count
        sibling = started[above]
        next_sibling[index] = sibling
        alike = (
            sibling >= 0
            and group[sibling] == group[index]
            and leaf[sibling] == leaf[index]
            and bits[sibling] == bits[index]
        )
        most = prose[index] * 2 > whole
        links = linked[index] * 2 > letters[index]
        fresh = np.zeros((2, 2))
        for kept in range(2):
            own = unary[index] if kept else 0.0
            for above_kept in range(2):
                change = vertical(above_kept, kept, leaf[index], group[index], most, links)
                score = own + (changes[change] if change >= 0 else 0.0)
                if first_child[index] >= 0:
                    score += max(chain[index, kept, 0], chain[index, kept, 1])
                if sibling >= 0:
                    best, label = -1e300, 0
                    for after in range(2):
                        step = horizontal(kept, after, alike)
                        value = chain[above, above_kept, after] + (changes[step] if step >= 0 else 0.0)
                        if value > best:
                            best, label = value, after
                    score += best
                    follows[index, above_kept, kept] = label
                fresh[above_kept, kept] = score
        chain[above] = fresh
        started[above] = index
        first_child[above] = index
    labels = np.zeros(count, np.uint8)
    index = first_child[count]
    # What stands outside of everything is below a root that is kept.
    if index >= 0:
        labels[index] = 1 if chain[count, 1, 1] > chain[count, 1, 0] else 0
    for index in range(count):
        above_kept = 1 if parent[index] < 0 else labels[parent[index]]
        sibling = next_sibling[index]
        if sibling >= 0:
            labels[sibling] = follows[index, above_kept, labels[index]]
        child = first_child[index]
        if child >= 0:
            kept = labels[index]
            labels[child] = 1 if chain[index, kept, 1] > chain[index, kept, 0] else 0
    return labels


@njit(cache=True, nogil=True)
def scores(features, many, weights):  # type: ignore[no-untyped-def]
    """The sum of the weights of each block's features."""
    total = np.zeros(len(many))
    for block in range(len(many)):
        for at in range(many[block]):
            total[block] += weights[features[block, at]]
    return total


@njit(cache=True, nogil=True)
def keep(blocks, weights, changes):  # type: ignore[no-untyped-def]
    """The blocks of the main content, 1 for kept, by the weights of FEATURES and CHANGES.

    A page is never left with next to nothing: below `LEAST_PROSE` of the prose or `LEAST_SHARE` of the letters outside
    of suspects, texts that are more than links are lifted, step by step; so they are below `LEAST_OWN` of the letters
    outside of suspects and links where less than `MOSTLY_PROSE` of these is prose: articles hold more of them than that
    (94 % of the benchmark's do, the others stand among other prose), lists of people, tables and home pages have
    little prose to go by. Where fewer than `SMALL` letters are kept of a
    page that has five times as many, it is a list of links, or calls itself frame: then all but the frame's texts stay,
    else all prose, else all.
    """
    unary = scores(blocks.features, blocks.many, weights)
    leaf, suspect, letters, group = blocks.leaf, blocks.suspect, blocks.letters, blocks.group
    own = letters - blocks.linked
    whole, prose, inside, everything = 0, 0, 0, 0
    for block in range(len(leaf)):
        if leaf[block]:
            everything += letters[block]
            if not suspect[block]:
                whole += own[block]
                prose += blocks.prose[block]
                inside += letters[block]
    least_own = LEAST_OWN * whole if prose < MOSTLY_PROSE * whole else 0.0
    if whole < SHORT:
        least_own = LEAST_OF_SHORT * whole
    least = max(min(LEAST_LETTERS, LEAST_SHARE * inside), LEAST_PROSE * prose)
    labels = best_labels(unary, blocks, changes)
    for _ in range(LIFTS):
        kept, kept_own = 0, 0
        for block in range(len(leaf)):
            if leaf[block] and labels[block]:
                kept += letters[block]
                kept_own += 0 if suspect[block] else own[block]
        if kept >= least and kept_own >= least_own:
            break
        for block in range(len(leaf)):
            if leaf[block] and not suspect[block]:
                short_but_own = own[block] * 2 > letters[block] and (_IS_DATA[group[block]] or whole < SHORT)
                if own[block] >= PLAIN_LETTERS or short_but_own:
                    unary[block] += LIFT
        labels = best_labels(unary, blocks, changes)
    _complete(labels, blocks)
    small = min(SMALL, LEAST_SHARE * everything)
    for step in range(3):
        kept = 0
        for block in range(len(leaf)):
            kept += letters[block] if leaf[block] and labels[block] else 0
        if kept >= small:
            break
        for block in range(len(leaf)):
            if leaf[block] and (step == 2 or (blocks.prose[block] > 0 if step else suspect[block] != 1)):
                labels[block] = 1
    return labels


@njit(cache=True, nogil=True)
def _kept_beyond_headings(block, beside, group, labels):  # type: ignore[no-untyped-def]
    """Whether the next block of a chain of neighbours that is no heading, or a heading before it, is kept."""
    while block >= 0:
        if labels[block] == 1:
            return True
        if not _HEADING <= group[block] <= _SMALL_HEADING:
            return False
        block = beside[block]
    return False


@njit(cache=True, nogil=True)
def _complete(labels, blocks):  # type: ignore[no-untyped-def]
    """Code, tables and lists that stand in kept text belong to it, whatever they look like alone; in place.

    Code needs a kept neighbour on one side, tables and lists on both (a table may be the last of its section), headings
    below the first between; wrappers that hold nothing else stand for them. A heading between kept neighbours is kept.
    A heading at the end, with nothing kept behind it, goes.
    """
    parent, leaf, group, suspect = blocks.parent, blocks.leaf, blocks.group, blocks.suspect
    letters, linked = blocks.letters, blocks.linked
    count = len(labels)
    before = np.full(count, -1, np.int32)
    after = np.full(count, -1, np.int32)
    last = np.full(count + 1, -1, np.int32)
    for block in range(count):
        if letters[block] == 0:
            continue
        above = parent[block] if parent[block] >= 0 else count
        before[block] = last[above]
        if last[above] >= 0:
            after[last[above]] = block
        last[above] = block
    inside = np.zeros(count, np.uint8)
    for block in range(count):
        above = parent[block]
        if above >= 0 and inside[above]:
            inside[block] = 1
            if suspect[block] == 0:
                labels[block] = 1
            continue
        kind = group[block]
        code = kind == _CODE
        if leaf[block] or not (code or kind in (_TABLE, _LIST, _DEFINITIONS)):
            continue
        if suspect[block] or linked[block] * 2 > letters[block] or letters[block] == 0:
            continue
        outer = block
        while parent[outer] >= 0 and letters[parent[outer]] == letters[block]:
            outer = parent[outer]
        previous = _kept_beyond_headings(before[outer], before, group, labels)
        following = _kept_beyond_headings(after[outer], after, group, labels)
        closing = kind == _TABLE and after[outer] < 0
        if (previous and (following or closing)) or (code and (previous or following)):
            inside[block] = 1
            labels[block] = 1
    for block in range(count):
        above = parent[block]
        if above >= 0 and inside[above] == 2:
            inside[block], labels[block] = 2, 1
        elif _HEADING <= group[block] <= _SMALL_HEADING and not leaf[block] and not labels[block]:
            if suspect[block] or linked[block] * 2 > letters[block] or letters[block] == 0:
                continue
            following = after[block] >= 0 and labels[after[block]] == 1
            if following and _kept_beyond_headings(before[block], before, group, labels):
                inside[block], labels[block] = 2, 1
    for block in range(count - 1, -1, -1):
        if leaf[block] and labels[block] and letters[block]:
            if group[block] < _TITLE or group[block] > _SMALL_HEADING:
                break
            labels[block] = 0
