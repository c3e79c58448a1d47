"""Is this page safe to parse? One pass over its bytes, before any parser sees it.

Extraction costs the square of the depth (5,000 nested `<div>` take 0.7 s, 100,000 do not end), parsing the square of
the attributes of one tag (20,000 take 0.8 s), and unclosed formatting elements are built again in every later
paragraph (10,000 `<font>` and 10,000 `<p>` are 10^8 nodes). Four bounds, none of which a page can talk down:

- depth: a stack of open elements where every `<letter` opens one, wherever it stands (in scripts and comments too),
  and an end tag closes only the innermost element of its name with nothing but implied ends between (a `<p>` that a
  parser ends earlier makes the bound at worst half of the truth);
- hidden: start tags that opened nothing because they end in `/>` inside SVG or MathML, where a parser may disagree;
- nodes: every start tag counts one, and one more for each formatting element open at that point;
- attributes: every start tag is read to its end by the tokenizer's rules.

Real pages: a depth of 20 to 60. Cost: 300 MB/s, a tenth of the extraction (compiled once per machine, 4 s, then
cached).
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit

_VOID: Final = (
    b"area base br col embed hr img input link meta param source track wbr keygen frame basefont bgsound command"
)
_IMPLIED: Final = b"dd dt li optgroup option p rb rp rt rtc"
_ENDED_BY_OWN: Final = b"li p dd dt"
"""Elements that their like ends through implied ends: `<li><p>x<li>`; `<option><p>x<option>` nests."""
_TABLE_PARTS: Final = b"td th tr tbody thead tfoot caption colgroup"
_FORMATTING: Final = b"b big code em font i s small strike strong tt u"
"""Without `a` and `nobr`: a parser keeps one of each."""
_FOREIGN: Final = b"svg math"
MAX_STACK: Final = 1 << 13
"""Where counting stops: a page with so many open elements is not worth a parse."""
WORK_FACTOR: Final = 8
"""Steps per byte of the page; real pages take about 1, `<a <a <a` (each tag read to the end) takes its square."""


class HtmlBounds(NamedTuple):
    """Upper bounds of what a parser would build. `work_exceeded` says that reading the tags took too long to finish."""

    depth: int
    hidden: int
    nodes: int
    attributes: int
    work_exceeded: bool


def html_bounds(page: bytes) -> HtmlBounds:
    """The bounds of an HTML page in an encoding that keeps ASCII (UTF-8)."""
    depth, hidden, nodes, attributes, exceeded = _scan(np.frombuffer(page, np.uint8), *_NAMES, WORK_FACTOR)
    return HtmlBounds(int(depth), int(hidden), int(nodes), int(attributes), bool(exceeded))


def _hashes(names: bytes) -> np.ndarray:
    return np.sort(np.array([_name_hash(name) for name in names.split()], np.uint64))


def _name_hash(name: bytes) -> int:
    """FNV-1a, 64 bits, as the kernel computes it."""
    value = 0xCBF29CE484222325
    for byte in name:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


_NAMES: Final = (
    _hashes(_VOID),
    _hashes(_IMPLIED),
    _hashes(_TABLE_PARTS),
    _hashes(_FORMATTING),
    _hashes(_FOREIGN),
    _hashes(_ENDED_BY_OWN),
)


@njit(cache=True, nogil=True)
def _has(sorted_hashes, value):  # type: ignore[no-untyped-def]
    index = np.searchsorted(sorted_hashes, value)
    return index < len(sorted_hashes) and sorted_hashes[index] == value


@njit(cache=True, nogil=True)
def _is_space(byte):  # type: ignore[no-untyped-def]
    return byte == 32 or byte == 10 or byte == 9 or byte == 13 or byte == 12


@njit(cache=True, nogil=True)
def _attributes(page, at):  # type: ignore[no-untyped-def]
    """(attributes, position behind the tag) of a start tag whose name ends at `at`, by the tokenizer's rules."""
    size, count = len(page), 0
    while at < size:
        while at < size and (_is_space(page[at]) or page[at] == 47):
            at += 1
        if at >= size or page[at] == 62:
            return count, at + 1
        count += 1
        at += 1  # an `=` in front belongs to the name
        while at < size and not _is_space(page[at]) and page[at] != 47 and page[at] != 62 and page[at] != 61:
            at += 1
        behind = at
        while behind < size and _is_space(page[behind]):
            behind += 1
        if behind < size and page[behind] == 61:
            at = behind + 1
            while at < size and _is_space(page[at]):
                at += 1
            if at < size and (page[at] == 34 or page[at] == 39):
                quote = page[at]
                at += 1
                while at < size and page[at] != quote:
                    at += 1
                at += 1
            else:
                while at < size and not _is_space(page[at]) and page[at] != 62:
                    at += 1
    return count, at


@njit(cache=True, nogil=True)
def _scan(  # type: ignore[no-untyped-def]
    page, void, implied, table_parts, formatting, foreign, ended_by_own, work_factor
):
    size = len(page)
    stack = np.empty(MAX_STACK, np.uint64)
    kinds = np.empty(MAX_STACK, np.uint8)  # 1 implied end, 2 part of a table, 4 formatting, 8 foreign
    top, deepest, hidden, nodes, most, work = 0, 0, 0, 0, 0, 0
    open_formatting, open_foreign = 0, 0
    at = 0
    while at < size:
        if page[at] != 60 or at + 1 >= size:
            at += 1
            continue
        end_tag = page[at + 1] == 47
        name_at = at + 2 if end_tag else at + 1
        if name_at >= size:
            break
        first = page[name_at] | 32
        if first < 97 or first > 122:
            at += 1
            continue
        name = np.uint64(0xCBF29CE484222325)
        stop = name_at
        while stop < size and not _is_space(page[stop]) and page[stop] != 47 and page[stop] != 62:
            byte = page[stop]
            if 65 <= byte <= 90:
                byte = byte | 32
            name = (name ^ np.uint64(byte)) * np.uint64(0x100000001B3)
            stop += 1
        work += stop - name_at
        if work > work_factor * size + 4096:
            return deepest, hidden, nodes, most, True
        at = name_at
        if end_tag:
            part = _has(table_parts, name)
            index = top - 1
            while index >= 0 and stack[index] != name and (kinds[index] & 1 or (part and kinds[index] & 2)):
                index -= 1
            work += top - index
            if index >= 0 and stack[index] == name:
                while top > index:
                    top -= 1
                    open_formatting -= int((kinds[top] >> 2) & 1)
                    open_foreign -= int(kinds[top] >> 3)
            continue
        count, behind = _attributes(page, stop)
        most = max(most, count)
        work += behind - stop
        nodes += 1 + open_formatting
        if open_foreign:
            if behind >= 2 and behind <= size and page[behind - 2] == 47:
                hidden += 1
                continue
        elif _has(void, name):
            continue
        kind = np.uint8(0)
        if _has(implied, name):
            kind = np.uint8(1)
        elif _has(table_parts, name):
            kind = np.uint8(2)
        elif _has(formatting, name):
            kind = np.uint8(4)
        elif _has(foreign, name):
            kind = np.uint8(8)
        if not open_foreign and top and (kind == 1 or kind == 2):
            # `<td>` in `<td>`, `<tr>` in `<tr><td>` and `<li>` in `<li><p>` end what is open, back to their like.
            walks = kind == 2 or _has(ended_by_own, name)
            index = top - 1
            while walks and index >= 0 and stack[index] != name and (kinds[index] == 1 or (kinds[index] == kind)):
                index -= 1
            work += top - index
            if index >= 0 and stack[index] == name:
                top = index
        if top >= MAX_STACK:
            return MAX_STACK, hidden, nodes, most, False
        stack[top], kinds[top] = name, kind
        open_formatting += int((kind >> 2) & 1)
        open_foreign += int(kind >> 3)
        top += 1
        deepest = max(deepest, top)
    return deepest, hidden, nodes, most, False
