"""Kept parts of a flat tree to plain text: paragraphs, headings, lists, tables, code, formulas as a reader sees them.

- Paragraphs, headings, lists, tables and code stand between blank lines; other blocks and `<br>` begin a new line.
- List items begin with `• ` or their number, two spaces deeper for each list around them.
- A table of data (rows of two cells or more, nothing but text in them) has a line a row, cells parted by ` | `; a table
  for layout is read as blocks.
- `<pre>` keeps line breaks and indentation. A formula is its TeX between `$` where the page has it, else its text.
- Readings beside characters (`<rt>`) and links to edit a section are left out.
- No-break spaces are spaces; lines of white space are empty; of several empty lines one stays.

Linear in the bytes of the page, one pass.
"""

import html
import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.corpus.extraction.html_tree import FlatTree
from pipelines.corpus.extraction.html_words import SUPPRESSED, TAG_KINDS, TAGS, Kind

Array = npt.NDArray[Any]
DEEPEST_INDENT: Final = 8
ROOM_A_NODE: Final = 48
"""Bytes that a node can add beside its text: line ends, an indent, a number, the bars of one cell."""

_EMPTY_LINES = re.compile(r"\n{3,}")

_TEXT, _A, _BR, _IMG, _MATH, _ANNOTATION, _SCRIPT, _HEAD, _TEMPLATE = (
    TAGS[name] for name in ("text", "a", "br", "img", "math", "annotation", "script", "head", "template")
)
_UL, _OL, _DL, _MENU, _DIR, _LI, _TABLE, _TR, _TD, _TH = (
    TAGS[name] for name in ("ul", "ol", "dl", "menu", "dir", "li", "table", "tr", "td", "th")
)
_PRE, _LISTING, _PLAINTEXT = (TAGS[name] for name in ("pre", "listing", "plaintext"))
_BLOCK, _BARRED, _PARAGRAPH, _HEADING = int(Kind.BLOCK), int(Kind.BARRED), int(Kind.PARAGRAPH), int(Kind.HEADING)
_SUPPRESSED = int(SUPPRESSED)


def render(page: bytes, tree: FlatTree, kept: Array, alt_texts: bool) -> str:
    """The text of a page's nodes for which `kept` is 1."""
    room = len(page) + ROOM_A_NODE * len(tree.tag) + 64
    out = np.empty(room, np.uint8)
    data = np.frombuffer(page, np.uint8)
    columns = (tree.tag, tree.parent, tree.end, tree.bits, tree.start, tree.stop, tree.letters, tree.linked)
    size = int(_render(data, TAG_KINDS, *columns, kept, alt_texts, out))
    text = out[:size].tobytes().decode("utf-8", "replace")
    if "&" in text:
        text = html.unescape(text)
    text = text.replace("\xa0", " ")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "\n".join([line.rstrip() for line in text.split("\n")])
    return (_EMPTY_LINES.sub("\n\n", text) if "\n\n\n" in text else text).rstrip().lstrip("\n")


@njit(cache=True, nogil=True)
def _is_data(tag, end, kinds, letters, table):  # type: ignore[no-untyped-def]
    """Whether a table holds rows of cells of text only. Ends at the first table inside: nesting stays linear."""
    rows, cells = 0, 0
    for index in range(table + 1, end[table]):
        this = tag[index]
        if this == _TR:
            rows += 1
        elif this in (_TD, _TH):
            for inner in range(index + 1, end[index]):
                if letters[inner]:
                    cells += 1
                    break
        elif this in (_TABLE, _PRE, _UL, _OL, _DL) or kinds[this] & _HEADING:
            return False
    return rows >= 2 and cells >= 2 * rows - 1


@njit(cache=True, nogil=True)
def _tex(page, tag, end, start, stop, math):  # type: ignore[no-untyped-def]
    """(from, to, display) of a formula's TeX; from is -1 for none."""
    if tag[math] == _SCRIPT:
        child = math + 1
        if child >= end[math] or stop[math] - start[math] < 8:
            return -1, -1, False
        return start[child], stop[child], stop[math] - start[math] > 12
    for index in range(math + 1, end[math]):
        if tag[index] == _ANNOTATION and stop[index] - start[index] >= 5:
            last = stop[index]  # application/x-tex
            is_tex = page[last - 3] | 32 == 116 and page[last - 2] | 32 == 101 and page[last - 1] | 32 == 120
            if is_tex and index + 1 < end[index] and tag[index + 1] == _TEXT:
                return start[index + 1], stop[index + 1], False
    if stop[math] > start[math]:
        return start[math], stop[math], False
    return -1, -1, False


@njit(cache=True, nogil=True)
def is_mark(page, start, stop):  # type: ignore[no-untyped-def]
    """Whether a link's text is one sign without meaning, such as the pilcrow of a heading's anchor."""
    while start < stop and (page[start] <= 32):
        start += 1
    while stop > start and page[stop - 1] <= 32:
        stop -= 1
    width = stop - start
    if width == 1:
        byte = page[start]
        return byte == 35 or byte == 94 or byte == 42
    if width == 2:
        return page[start] == 0xC2 and (page[start + 1] == 0xB6 or page[start + 1] == 0xA7)
    return (width == 4 and page[start] == 0xF0) or (width == 6 and page[start] == 38 and page[start + 1] == 112)


@njit(cache=True, nogil=True)
def _render(  # type: ignore[no-untyped-def]
    page, kinds, tag, parent, end, bits, start, stop, letters, linked, kept, alt_texts, out
):  # fmt: skip
    count, size = len(tag), 0
    depth = 0
    stack = np.empty(1100, np.int32)
    numbers = np.zeros(1100, np.int32)  # of a list: items begun
    lists, quiet_until, pre, bullet = 0, 0, 0, False
    breaks, gap, space = 0, 0, False  # line breaks, lines (2: with an empty one) and a space that are due
    table_end, row_started, cell, cells_written = 0, False, 0, 0
    index = 0
    while index < count:
        while depth and end[stack[depth - 1]] <= index:
            depth -= 1
            this = tag[stack[depth]]
            inner = lists > 1 and this in (_UL, _OL)  # a list in a list stands close
            gap = max(gap, 2 if kinds[this] & _PARAGRAPH and not inner else 1)
            if this in (_PRE, _LISTING, _PLAINTEXT):
                pre -= 1
            elif this in (_UL, _OL, _MENU, _DIR):
                lists -= 1
            elif this == _LI:
                bullet = False
        this = tag[index]
        kind = kinds[this]
        math = this == _MATH or (this == _SCRIPT and kept[index])
        alt = this == _IMG and alt_texts and kept[index] and stop[index] > start[index]
        if this == _TEXT or math or alt:
            if not kept[index] or (this == _TEXT and index < quiet_until):
                index = end[index]
                continue
            first, last, formula, display = start[index], stop[index], False, False
            if math:
                first, last, display = _tex(page, tag, end, start, stop, index)
                formula = first >= 0
                if not formula:
                    if this == _SCRIPT:
                        index = end[index]
                    else:
                        index += 1  # its text nodes follow
                    continue
            elif linked[index] and is_mark(page, first, last):
                index += 1
                continue
            verbatim = pre > 0 and not formula
            at = first
            if not verbatim:
                while at < last and (page[at] == 32 or 9 <= page[at] <= 13):
                    at += 1
                space = space or at > first
            elif gap and at < last and page[at] == 10:
                at += 1  # the line end behind <pre>
            if at < last:
                # What is due before this text.
                in_cell = index < table_end
                if in_cell and row_started and gap and cell >= 0:
                    if cell > cells_written:
                        for _ in range(cell - cells_written):
                            out[size], out[size + 1], out[size + 2] = 32, 124, 32
                            size += 3
                    elif size and out[size - 1] != 32:
                        out[size] = 32
                        size += 1
                    cells_written, gap, breaks, space = cell, 0, 0, False
                elif in_cell and row_started and breaks:
                    breaks, space = 0, True
                if in_cell and not row_started:
                    gap = max(gap, 1)
                lines = gap if gap else min(breaks, 2)
                if bullet and lists and numbers[lists - 1] > 1:
                    lines = 1
                if lines and size:
                    for _ in range(lines):
                        out[size] = 10
                        size += 1
                if lines or not size:
                    space = False
                if bullet and lists:
                    for _ in range(2 * min(lists - 1, DEEPEST_INDENT)):
                        out[size] = 32
                        size += 1
                    owner = stack[depth - 1]
                    ordered = False
                    for level in range(depth - 1, -1, -1):
                        owner = tag[stack[level]]
                        if owner in (_OL, _UL, _MENU, _DIR):
                            ordered = owner == _OL
                            break
                    if ordered:
                        number, width = numbers[lists - 1], 1
                        while number // width >= 10:
                            width *= 10
                        while width:
                            out[size] = 48 + number // width % 10
                            size += 1
                            width //= 10
                        out[size], out[size + 1] = 46, 32
                        size += 2
                    else:
                        out[size], out[size + 1], out[size + 2], out[size + 3] = 0xE2, 0x80, 0xA2, 32
                        size += 4
                    bullet, space = False, False
                if in_cell and not row_started:
                    row_started = True
                    for _ in range(cell):
                        out[size], out[size + 1] = 124, 32
                        size += 2
                    cells_written = cell
                breaks, gap = 0, 0
                if space and size and out[size - 1] != 10 and out[size - 1] != 32:
                    out[size] = 32
                    size += 1
                space = False
                if formula:
                    while last > at and (page[last - 1] == 32 or 9 <= page[last - 1] <= 13):
                        last -= 1
                    for _ in range(2 if display else 1):
                        out[size] = 36
                        size += 1
                if verbatim:
                    for position in range(at, last):
                        out[size] = page[position]
                        size += 1
                else:
                    while at < last:
                        byte = page[at]
                        if byte == 32 or 9 <= byte <= 13:
                            space = True
                        else:
                            if space:
                                out[size] = 32
                                size += 1
                                space = False
                            out[size] = byte
                            size += 1
                        at += 1
                if formula:
                    for _ in range(2 if display else 1):
                        out[size] = 36
                        size += 1
            index = end[index]
            continue
        if kind & _BARRED or this in (_HEAD, _TEMPLATE):
            index = end[index]
            continue
        if this == _BR:
            if pre and size and gap == 0:
                out[size] = 10
                size += 1
            else:
                breaks += 1
            space = False
        elif kind & _BLOCK:
            inner = lists > 0 and this in (_UL, _OL)
            gap = max(gap, 2 if kind & _PARAGRAPH and not inner else 1)
            if depth < len(stack) and end[index] > index + 1:
                stack[depth] = index
                depth += 1
                if this in (_PRE, _LISTING, _PLAINTEXT):
                    pre += 1
                elif this in (_UL, _OL, _MENU, _DIR):
                    numbers[lists] = 0
                    lists += 1
                elif this == _LI:
                    bullet = lists > 0
                    numbers[max(lists - 1, 0)] += 1
                elif this == _TABLE:
                    if index >= table_end and _is_data(tag, end, kinds, letters, index):
                        table_end = end[index]
                        cell = -1
                elif this == _TR:
                    row_started, cell = False, -1
                    cells_written = 0
            if (this in (_TD, _TH)) and index < table_end:
                cell += 1
        elif bits[index] & _SUPPRESSED:
            quiet_until = max(quiet_until, end[index])
        index += 1
    return size
