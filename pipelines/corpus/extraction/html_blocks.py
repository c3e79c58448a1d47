"""A flat tree to blocks: what of a page is judged as one thing.

Blocks are the block-level elements of a page and, as their leaves, the runs of inline text between them. Scripts,
controls and drawings are left out. Out go the blocks in document order, each with the numbers of the features that
hold of it (`html_features`). Linear in the nodes.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.corpus.extraction.html_features import (
    BEGINS_LINKED,
    GROUP_OF,
    GROUPS,
    IS_TITLE,
    ROOM,
    WITH_IMAGE,
    find_features,
)
from pipelines.corpus.extraction.html_tree import FlatTree
from pipelines.corpus.extraction.html_words import TAG_KINDS, TAGS, Kind

Array = npt.NDArray[Any]
_TEXT, _MATH, _SCRIPT = TAGS["text"], TAGS["math"], TAGS["script"]
_IS_BLOCK, _IS_BARRED = int(Kind.BLOCK), int(Kind.BARRED)
_HEAD_TAG, _TEMPLATE, _TITLE, _IMG = TAGS["head"], TAGS["template"], TAGS["title"], TAGS["img"]
_G_CODE, _G_TITLE, _G_SMALL_HEADING = (GROUPS.index(name) for name in ("code", "title", "small heading"))
TITLE_BYTES: Final = 200
LEAST_TITLE: Final = 10
"""Letters from which a text may be the page's title."""


class Blocks(NamedTuple):
    """Columns by block, in document order: `node` (of the flat tree; of a leaf its first text), `stop` (one past the
    last node), `parent` (a block; -1 for none), `leaf` (1 for a run of text), `letters`, `linked`, `prose` (letters, of
    all that is inside), `group` (of GROUPS), `bits` (hints), `suspect` (1, 2: strongly, weakly), then `features`
    (blocks x ROOM, numbers of FEATURES) and `many`, how many of a row hold."""

    node: Array
    stop: Array
    parent: Array
    leaf: Array
    letters: Array
    linked: Array
    prose: Array
    group: Array
    bits: Array
    suspect: Array
    features: Array
    many: Array


def blocks_of(page: bytes, tree: FlatTree) -> Blocks:
    """The blocks of a page's tree."""
    found: Blocks = find_blocks(np.frombuffer(page, np.uint8), TAG_KINDS, GROUP_OF, tree)
    return found


@njit(cache=True, nogil=True)
def find_blocks(page, kinds, group_of, tree):  # type: ignore[no-untyped-def]
    """`blocks_of`, for other kernels: 25 columns through Python cost 70 microseconds a page."""
    room = len(tree.tag)
    node, stop, parent = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int32)
    letters, linked, group = np.zeros(room, np.int32), np.zeros(room, np.int32), np.zeros(room, np.int32)
    stops, symbols, prints = np.zeros(room, np.int32), np.zeros(room, np.int32), np.zeros(room, np.uint64)
    leaf, ends, bits = np.zeros(room, np.uint8), np.zeros(room, np.uint8), np.zeros(room, np.int64)
    rows = (node, stop, parent, leaf, letters, linked, stops, ends, symbols, prints, group, bits)
    count = _collect(page, kinds, group_of, tree, rows)
    node, stop, parent, leaf, group, bits = (
        node[:count], stop[:count], parent[:count], leaf[:count], group[:count], bits[:count]
    )  # fmt: skip
    letters, linked = letters[:count], linked[:count]
    prose, suspect = np.zeros(count, np.int32), np.zeros(count, np.uint8)
    features, many = np.empty((count, ROOM), np.int16), np.empty(count, np.int32)
    marks = np.zeros(count, np.uint8)
    heading = _mark(page, tree, node, stop, parent, leaf, letters, group, marks)
    find_features(
        parent, leaf, letters, linked, stops, ends, symbols, prints, tree.tag, node, group, bits, marks, heading, prose,
        suspect, features, many,
    )  # fmt: skip
    return Blocks(node, stop, parent, leaf, letters, linked, prose, group, bits, suspect, features, many)


@njit(cache=True, nogil=True)
def _collect(page, kinds, group_of, tree, rows):  # type: ignore[no-untyped-def]
    node, stop, parent, leaf, letters, linked, stops, ends, symbols, prints, group, bits = rows
    tag, tree_parent, end, tree_bits, start, stop_byte, tree_letters, tree_stops, tree_linked = tree
    size = len(tag)
    holds = np.zeros(size, np.uint8)  # inline elements that hold blocks are blocks too
    for index in range(size):
        if tag[index] != _TEXT and kinds[tag[index]] & _IS_BLOCK:
            above = tree_parent[index]
            while above >= 0 and not holds[above]:
                holds[above] = 1
                above = tree_parent[above]
    block_of = np.full(size, -1, np.int32)  # the nearest block at or above a node
    count, run, biggest = 0, -1, 0
    index = 0
    while index < size:
        this = tag[index]
        above = tree_parent[index]
        owner = block_of[above] if above >= 0 else -1
        formula = (
            this == _SCRIPT
            and stop_byte[index] - start[index] >= 8
            and (
                page[start[index]] | 32 == 109 and page[start[index] + 4] == 47  # math/tex
            )
        )
        if this in (_TEXT, _MATH) or formula:
            many, points = tree_letters[index], tree_stops[index]
            if this != _TEXT:
                many, points = 1, 0
                for inner in range(index, end[index]):
                    many += tree_letters[inner]
            if run >= 0 and parent[run] == owner:
                stop[run] = end[index]
            elif many or (owner >= 0 and group[owner] == _G_CODE):
                run = count
                node[run], stop[run], parent[run], leaf[run] = index, end[index], owner, 1
                group[run] = group[owner] if owner >= 0 else 0
                count += 1
                biggest = 0
            if run >= 0 and many:
                letters[run] += many
                stops[run] += points
                if tree_linked[index]:
                    linked[run] += many
                if this == _TEXT:
                    for at in range(start[index], stop_byte[index]):
                        byte = page[at]
                        if byte > 32:
                            prints[run] = (prints[run] ^ np.uint64(byte)) * np.uint64(0x100000001B3)
                        if 59 < byte < 63 or (byte > 122 and byte < 127) or 90 < byte < 97 or byte == 38:
                            symbols[run] += 1
                        elif byte == 0xA9 and at and page[at - 1] == 0xC2:
                            ends[run] |= 2
                    ends[run] &= 2
                    last = stop_byte[index] - 1
                    while last > start[index] and (page[last] == 32 or 9 <= page[last] <= 13):
                        last -= 1
                    byte = page[last]
                    if byte == 34 or byte == 39 or byte == 41 or byte == 0x9D or byte == 0x99:  # closing marks
                        back = last - 1 if byte < 128 else last - 3
                        byte = page[back] if back >= start[index] else byte
                    ends[run] |= 1 if byte == 46 or byte == 33 or byte == 63 or byte == 0x82 or byte == 0x81 else 0
                if many > biggest:
                    biggest = many
                    own = np.int64(0)
                    while above >= 0 and block_of[above] == owner and (owner < 0 or node[owner] != above):
                        own |= tree_bits[above]
                        above = tree_parent[above]
                    bits[run] = own
            index = end[index]
            continue
        kind = kinds[this]
        if kind & _IS_BARRED or this in (_HEAD_TAG, _TEMPLATE):
            index = end[index]
            continue
        if kind & _IS_BLOCK or holds[index]:
            run = -1
            node[count], stop[count], parent[count], group[count] = index, end[index], owner, group_of[this]
            bits[count] = tree_bits[index]
            block_of[index] = count
            count += 1
        else:
            block_of[index] = owner
        index += 1
        # A block that ended here ends the run.
        if run >= 0 and index < size:
            following = tree_parent[index]
            if (block_of[following] if following >= 0 else -1) != parent[run]:
                run = -1
    return count


@njit(cache=True, nogil=True)
def _plain(page, start, stop, out, size):  # type: ignore[no-untyped-def]
    """Appends letters and digits in lower case, and what is not ASCII; character references are left out."""
    at = start
    while at < stop and size < len(out):
        byte = page[at]
        if byte == 38:
            behind = at + 1
            while behind < stop and behind < at + 10 and page[behind] != 59 and page[behind] > 32:
                behind += 1
            if behind < stop and page[behind] == 59:
                at = behind + 1
                continue
        if 65 <= byte <= 90:
            byte = byte | 32
        if 97 <= byte <= 122 or 48 <= byte <= 57 or byte >= 128:
            out[size] = byte
            size += 1
        at += 1
    return size


@njit(cache=True, nogil=True)
def _mark(page, tree, node, stop, parent, leaf, letters, group, marks):  # type: ignore[no-untyped-def]
    """Sets `marks` of leaves; returns the block that repeats the page's title, -1 for none: a heading before others.

    Linear: a text is compared with the title only where it is no longer than that, and the title is cut.
    """
    tag, start, stop_byte, tree_linked = tree.tag, tree.start, tree.stop, tree.linked
    images = np.zeros(len(tag) + 1, np.int32)
    title, title_size = np.zeros(TITLE_BYTES, np.uint8), 0
    seen = False
    for index in range(len(tag)):
        images[index + 1] = images[index] + (1 if tag[index] == _IMG else 0)
        if tag[index] == _TITLE and not seen and index + 1 < len(tag) and tag[index + 1] == _TEXT:
            title_size = _plain(page, start[index + 1], stop_byte[index + 1], title, 0)
            seen = True
    sums = letters.copy()
    for block in range(len(node) - 1, -1, -1):
        if parent[block] >= 0:
            sums[parent[block]] += sums[block]
    text = np.zeros(TITLE_BYTES, np.uint8)
    best = -1
    for block in range(len(node)):
        if not leaf[block]:
            continue
        if tree_linked[node[block]]:
            marks[block] |= BEGINS_LINKED
        above, widest = parent[block], block
        while above >= 0 and sums[above] * 3 <= letters[block] * 4:
            widest = above
            above = parent[above]
        if letters[block] and images[stop[widest]] > images[node[widest]]:
            marks[block] |= WITH_IMAGE
        if not LEAST_TITLE <= letters[block] <= title_size + 8:
            continue
        size = 0
        for index in range(node[block], stop[block]):
            if tag[index] == _TEXT:
                size = _plain(page, start[index], stop_byte[index], text, size)
        if size < LEAST_TITLE or size > title_size:
            continue
        for first in range(title_size - size + 1):
            at = 0
            while at < size and title[first + at] == text[at]:
                at += 1
            if at == size:
                marks[block] |= IS_TITLE
                is_heading = _G_TITLE <= group[block] <= _G_SMALL_HEADING
                if best < 0 or (is_heading and not _G_TITLE <= group[best] <= _G_SMALL_HEADING):
                    best = block
                break
    return best
