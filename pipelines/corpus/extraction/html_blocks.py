"""A flat tree to blocks: what of a page is judged as one thing.

Blocks are the block-level elements of a page and, as their leaves, the runs of inline text between them. Scripts,
controls and drawings are left out. Out go the blocks in document order, each with the numbers of the features that
hold of it (`html_features`). Linear in the nodes.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.corpus.extraction.html_features import GROUP_OF, GROUPS, ROOM, find_features
from pipelines.corpus.extraction.html_tree import FlatTree
from pipelines.corpus.extraction.html_words import TAG_KINDS, TAGS, Kind

Array = npt.NDArray[Any]
_TEXT, _MATH, _SCRIPT = TAGS["text"], TAGS["math"], TAGS["script"]
_IS_BLOCK, _IS_BARRED = int(Kind.BLOCK), int(Kind.BARRED)
_HEAD_TAG, _TEMPLATE = TAGS["head"], TAGS["template"]
_G_CODE = GROUPS.index("code")


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
    data = np.frombuffer(page, np.uint8)
    room = len(tree.tag) + 1
    node, stop, parent, letters, linked, group, stops, symbols = (np.zeros(room, np.int32) for _ in range(8))
    leaf, ends = np.zeros(room, np.uint8), np.zeros(room, np.uint8)
    bits = np.zeros(room, np.int64)
    prints: Array = np.zeros(room, np.uint64)
    rows: tuple[Array, ...] = (node, stop, parent, leaf, letters, linked, stops, ends, symbols, prints, group, bits)
    arguments: tuple[Any, ...] = (data, TAG_KINDS, GROUP_OF, *tree, *rows)
    count = int(_collect(*arguments))
    node, stop, parent, leaf, letters, linked, stops, ends, symbols, prints, group, bits = [row[:count] for row in rows]
    prose, suspect = np.zeros(count, np.int32), np.zeros(count, np.uint8)
    features, many = np.zeros((count, ROOM), np.int16), np.zeros(count, np.int32)
    find_features(
        parent, leaf, letters, linked, stops, ends, symbols, prints, tree.tag, node, group, bits, prose, suspect,
        features, many,
    )  # fmt: skip
    return Blocks(node, stop, parent, leaf, letters, linked, prose, group, bits, suspect, features, many)


@njit(cache=True, nogil=True)
def _collect(  # type: ignore[no-untyped-def]
    page, kinds, group_of, tag, tree_parent, end, tree_bits, start, stop_byte, tree_letters, tree_stops, tree_linked,
    node, stop, parent, leaf, letters, linked, stops, ends, symbols, prints, group, bits,
):  # fmt: skip
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
