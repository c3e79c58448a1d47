"""What can be seen of a block: features that hold or do not, each with a weight in `html_weights.tsv`.

Bins of lengths, shares and densities; elements; hints of `class`, `id` and `role`; what stands before, behind, above
and below. "Prose" is text that reads like sentences: `PROSE_LETTERS` letters or more, a comma or stop, few links. A
hint on a block that holds most of the page's prose says nothing (`<body class="has-sidebar">`) and is not listened to;
others make all that is below them suspects. Linear in the blocks.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.corpus.extraction.html_words import (
    ADVERT,
    BODY,
    CALL,
    COMMENT,
    FOOT,
    LANDMARK,
    MAIN,
    MEDIA,
    NAVIGATION,
    RELATED,
    SHARE,
    SIDE,
    SUPPRESSED,
    TAG_KINDS,
    TAGS,
)

PROSE_LETTERS: Final = 60
REPEATED_LETTERS: Final = 20
"""Shorter texts may stand twice on a page and mean something both times."""
MOST: Final = 0.5
"""Share of the page's prose above which a block's hints are not listened to."""
MANY: Final = 0.8
"""The same for what is not displayed; for footers and landmarks it is `MOST` of all letters."""
NEARLY_ALL: Final = 0.95
"""The same for hints of comments: an article may have more comments than text, a forum has nothing else."""

Array = npt.NDArray[Any]

_GROUP_TAGS: Final = {
    "division": "div",
    "article": "article",
    "main": "main",
    "section": "section",
    "nav": "nav menu dir",
    "aside": "aside",
    "header": "header hgroup",
    "footer": "footer",
    "form": "form fieldset label legend search",
    "list": "ul ol",
    "item": "li",
    "definitions": "dl",
    "definition": "dt dd",
    "table": "table",
    "cell": "td th caption",
    "row": "tr tbody thead tfoot",
    "paragraph": "p",
    "title": "h1",
    "heading": "h2",
    "small heading": "h3 h4 h5 h6",
    "quote": "blockquote",
    "code": "pre listing plaintext",
    "figure": "figure",
    "caption": "figcaption",
    "address": "address",
    "details": "details summary dialog",
    "link": "a",
    "body": "html body",
}
GROUPS: Final = ("other", *_GROUP_TAGS)
GROUP_OF: Final = np.zeros(len(TAG_KINDS), np.int32)
for _number, _tags in enumerate(_GROUP_TAGS.values(), 1):
    for _name in _tags.split():
        GROUP_OF[TAGS[_name]] = _number

HINTS: Final = (
    "navigation", "side", "foot", "head", "comment", "share", "related", "advert", "meta", "call", "media", "body",
    "hidden", "landmark", "main", "bio", "suppressed",
)  # fmt: skip

LENGTHS: Final = (1, 15, 40, 80, 160, 320)
DENSITIES: Final = (0.0, 0.2, 0.5, 0.9)
SYMBOLS: Final = (0.0, 0.02, 0.05, 0.1)
SHARES: Final = (0.0, 0.05, 0.2, 0.5, 0.9)


def _bins(name: str, edges: tuple[float, ...]) -> list[str]:
    return [f"{name} <= {edge:g}" for edge in edges] + [f"{name} > {edges[-1]:g}"]


_LEAF: Final = [
    *_bins("letters", LENGTHS),
    *_bins("linked", DENSITIES),
    "no stop", "one or two stops", "more stops", "ends a sentence",
    "before the title", "behind the title", "page without the title",
    "prose before", "prose behind", "prose on both sides", "prose on no side",
    *_bins("prose above", SHARES), *_bins("prose left", SHARES),
    "in main group", "beside main group", "near main group", "far from main group",
    *_bins("symbols", SYMBOLS),
    "prose", "prose in p", "copyright sign", "in a strong suspect", "in a weak suspect", "seen before",
    "begins with a link", "alone with an image", "is the title",
]  # fmt: skip
_NODE: Final = [
    *(f"hint {name}" for name in HINTS),
    *_bins("linked inside", DENSITIES),
    *_bins("mean letters", LENGTHS),
    *_bins("prose share", SHARES),
    *_bins("prose in own paragraphs", SHARES),
    "is main group",
    "holds main group",
    "in main group",
    "beside main group",
    "far from main group",
]
FEATURES: Final = (
    *(f"leaf: {name}" for name in _LEAF),
    *(f"leaf in {name}" for name in GROUPS),
    *(f"block: {name}" for name in _NODE),
    *(f"block is {name}" for name in GROUPS),
    *(f"leaf below hint {name}" for name in HINTS),
    *(f"leaf in {group}: {name}" for group in GROUPS for name in _bins("letters", LENGTHS)),
    *(f"leaf {linked}: {name}" for linked in _bins("linked", DENSITIES) for name in _bins("letters", LENGTHS)),
)
BEGINS_LINKED, WITH_IMAGE, IS_TITLE = 1, 2, 4
"""Marks of a leaf: a link comes first; a block holds an image and hardly more text; it is in the page's `<title>`."""
ROOM: Final = 64
"""Features of one block at most."""

_AT: Final = {name: number for number, name in enumerate(FEATURES)}
_L_LETTERS, _L_LINKED, _L_STOPS, _L_TITLE, _L_NEAR, _L_ABOVE, _L_LEFT, _L_PROSE, _L_GROUP = (
    _AT[name]
    for name in (
        "leaf: letters <= 1",
        "leaf: linked <= 0",
        "leaf: no stop",
        "leaf: before the title",
        "leaf: prose before",
        "leaf: prose above <= 0",
        "leaf: prose left <= 0",
        "leaf: prose",
        "leaf in other",
    )
)
_L_MAIN, _L_SYMBOLS, _N_MAIN, _L_GROUP_LENGTH, _L_LINKED_LENGTH = (
    _AT[name]
    for name in (
        "leaf: in main group",
        "leaf: symbols <= 0",
        "block: is main group",
        "leaf in other: letters <= 1",
        "leaf linked <= 0: letters <= 1",
    )
)
_N_HINT, _N_LINKED, _N_MEAN, _N_SHARE, _N_OWN, _N_GROUP, _L_BELOW = (
    _AT[name]
    for name in (
        "block: hint navigation",
        "block: linked inside <= 0",
        "block: mean letters <= 1",
        "block: prose share <= 0",
        "block: prose in own paragraphs <= 0",
        "block is other",
        "leaf below hint navigation",
    )
)
_P = TAGS["p"]
_HINT_MASK = (1 << len(HINTS)) - 1
_ALWAYS = BODY | MAIN | MEDIA
_STRONG = FOOT | COMMENT | LANDMARK | SUPPRESSED
_WEAK = SIDE | NAVIGATION | RELATED | SHARE | ADVERT | CALL
_G_NAV, _G_ASIDE, _G_FOOTER, _G_CELL = (GROUPS.index(name) for name in ("nav", "aside", "footer", "cell"))
_LENGTHS, _DENSITIES, _SHARES, _SYMBOLS = (
    np.array(edges, np.float64) for edges in (LENGTHS, DENSITIES, SHARES, SYMBOLS)
)


@njit(cache=True, nogil=True)
def _bin(edges, value):  # type: ignore[no-untyped-def]
    return np.searchsorted(edges, value)


@njit(cache=True, nogil=True)
def _crowds(parent, bits, within, crowd):  # type: ignore[no-untyped-def]
    """`within` summed over the blocks below one parent that carry the same weak hints: all paragraphs of an article
    may call themselves a part of a feed. Linear."""
    count = len(parent)
    room = 16
    while room < 2 * count:
        room *= 2
    keys, sums = np.zeros(room, np.uint64), np.zeros(room, np.int32)
    for turn in range(2):
        for index in range(count):
            if not bits[index] & _WEAK:
                continue
            key = (np.uint64(bits[index]) << np.uint64(32)) ^ np.uint64(parent[index] + 2)
            slot = (key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20) & np.uint64(room - 1)
            while keys[slot] and keys[slot] != key:
                slot = (slot + np.uint64(1)) & np.uint64(room - 1)
            keys[slot] = key
            if turn:
                crowd[index] = sums[slot]
            else:
                sums[slot] += within[index]


@njit(cache=True, nogil=True)
def find_features(  # type: ignore[no-untyped-def]
    parent, leaf, letters, linked, stops, ends, symbols, prints, tag, node, group, bits, marks, heading, prose,
    suspect, features, many,
):  # fmt: skip
    count = len(parent)
    prose_p = np.zeros(count, np.int32)
    leaves = np.zeros(count, np.int32)
    for index in range(count):
        if leaf[index]:
            if letters[index] >= PROSE_LETTERS and stops[index] and linked[index] * 3 < letters[index]:
                prose[index] = letters[index] - linked[index]
            leaves[index] = 1
    for index in range(count - 1, -1, -1):
        above = parent[index]
        if above < 0:
            continue
        letters[above] += letters[index]
        linked[above] += linked[index]
        prose[above] += prose[index]
        leaves[above] += leaves[index]
    crowd = np.zeros(count, np.int32)
    # Suspects: what calls itself a part of the frame and does not hold most of the prose. The strong ones first, then
    # the weak ones among what is left.
    hints_of = np.zeros(count, np.int64)
    everything = 1
    for index in range(count):
        if leaf[index]:
            everything += letters[index]
    for weak in range(2):
        left = 0
        for index in range(count):
            above = parent[index]
            if above >= 0 and suspect[above]:
                suspect[index] = max(suspect[index], suspect[above])
            if leaf[index] and not suspect[index]:
                left += prose[index]
        within = np.zeros(count, np.int32)
        for index in range(count - 1, -1, -1):
            if leaf[index] and not suspect[index]:
                within[index] = prose[index]
            if parent[index] >= 0:
                within[parent[index]] += within[index]
        if weak:
            _crowds(parent, bits, within, crowd)
        for index in range(count):
            if suspect[index]:
                continue
            share = within[index] / max(left, 1)
            hints = bits[index]
            if weak:
                share = max(share, crowd[index] / max(left, 1))
                own = hints & _WEAK
                tagged = group[index] == _G_ASIDE
                if (own or tagged) and share <= MOST:
                    suspect[index] = 2
                    hints_of[index] |= own
            else:
                own = hints & _STRONG
                tagged = group[index] == _G_NAV or group[index] == _G_FOOTER
                if letters[index] > MOST * everything:
                    tagged = False
                    own &= COMMENT | SUPPRESSED
                if share > MANY:
                    own &= ~SUPPRESSED
                if share > NEARLY_ALL or group[index] == _G_CELL:
                    own &= ~COMMENT  # of a cell it is the name of a column
                if own or tagged:
                    suspect[index] = 1
                    hints_of[index] |= own
    left = 0
    for index in range(count):
        above = parent[index]
        if above >= 0 and suspect[above] and not suspect[index]:
            suspect[index] = suspect[above]
        if leaf[index] and not suspect[index]:
            left += prose[index]
    # Prose that counts: outside of suspects, or all of it where that leaves nothing.
    core = np.zeros(count, np.int32)
    prose_p[:] = 0
    for index in range(count):
        if leaf[index] and (not suspect[index] or left == 0):
            core[index] = prose[index]
    total = 0
    for index in range(count - 1, -1, -1):
        if leaf[index]:
            total += core[index]
        above = parent[index]
        if above < 0:
            continue
        core[above] += core[index]
        if (tag[node[index]] == _P and not leaf[index]) or (leaf[index] and tag[node[above]] != _P):
            prose_p[above] += core[index]
    whole = max(total, 1)
    group_score = prose_p * 2
    for index in range(count):
        if parent[index] >= 0:
            group_score[parent[index]] += prose_p[index]
    main, best = -1, 0
    for index in range(count):
        if not leaf[index] and group_score[index] > best:
            main, best = index, group_score[index]
    beside = parent[main] if main >= 0 else -1
    near = parent[beside] if beside >= 0 else -1
    where = np.full(count, 3, np.int8)  # 0 in the main group, 1 beside it, 2 near it
    holds = np.zeros(count, np.uint8)
    above = main
    while above >= 0:
        holds[above] = 1
        above = parent[above]
    room = 16
    while room < 2 * count:
        room *= 2
    seen = np.zeros(room, np.uint64)
    before = 0
    below = np.zeros(count, np.int64)
    previous = 0  # prose of the leaf before
    next_prose = np.zeros(count, np.uint8)
    following = 0
    for index in range(count - 1, -1, -1):
        if leaf[index]:
            next_prose[index] = following
            following = 1 if core[index] else 0
    for index in range(count):
        at = 0
        share = core[index] / whole
        hints = bits[index] & _HINT_MASK
        if share > MOST or crowd[index] > MOST * whole:
            hints &= _ALWAYS
        hints |= hints_of[index]
        above = parent[index]
        if index == main:
            where[index] = 0
        elif index == beside:
            where[index] = 1
        elif index == near:
            where[index] = 2
        elif above >= 0:
            where[index] = where[above]
        below[index] = hints | (below[above] if above >= 0 else 0)
        for hint in range(len(HINTS)):
            if hints >> hint & 1:
                features[index, at] = _N_HINT + hint
                at += 1
        density = linked[index] / max(letters[index], 1)
        if leaf[index]:
            features[index, at] = _L_LETTERS + _bin(_LENGTHS, letters[index])
            features[index, at + 1] = _L_LINKED + _bin(_DENSITIES, density)
            features[index, at + 2] = _L_STOPS + min((stops[index] + 1) // 2, 2)
            features[index, at + 3] = _L_GROUP + group[index]
            features[index, at + 4] = _L_TITLE + (2 if heading < 0 else (0 if index < heading else 1))
            after = next_prose[index]
            features[index, at + 5] = _L_NEAR + (2 if previous and after else (0 if previous else (1 if after else 3)))
            features[index, at + 6] = _L_ABOVE + _bin(_SHARES, before / whole)
            features[index, at + 7] = _L_LEFT + _bin(_SHARES, (total - before - core[index]) / whole)
            length = _bin(_LENGTHS, letters[index])
            features[index, at + 8] = _L_MAIN + where[index]
            features[index, at + 9] = _L_SYMBOLS + _bin(_SYMBOLS, symbols[index] / max(letters[index], 1))
            features[index, at + 10] = _L_GROUP_LENGTH + group[index] * 7 + length
            features[index, at + 11] = _L_LINKED_LENGTH + _bin(_DENSITIES, density) * 7 + length
            at += 12
            if ends[index] & 2:
                features[index, at] = _L_PROSE + 2
                at += 1
            if ends[index] & 1:
                features[index, at] = _L_STOPS + 3
                at += 1
            if prose[index]:
                features[index, at] = _L_PROSE
                at += 1
                if above >= 0 and tag[node[above]] == _P:
                    features[index, at] = _L_PROSE + 1
                    at += 1
            for hint in range(len(HINTS)):
                if below[index] >> hint & 1:
                    features[index, at] = _L_BELOW + hint
                    at += 1
            if letters[index] >= REPEATED_LETTERS:
                slot = (prints[index] ^ prints[index] >> np.uint64(29)) & np.uint64(len(seen) - 1)
                while seen[slot] and seen[slot] != prints[index]:
                    slot = (slot + np.uint64(1)) & np.uint64(len(seen) - 1)
                if seen[slot]:
                    features[index, at] = _L_PROSE + 5
                    at += 1
                seen[slot] = prints[index]
            if suspect[index]:
                features[index, at] = _L_PROSE + 2 + suspect[index]
                at += 1
            for mark in range(3):
                if marks[index] >> mark & 1:
                    features[index, at] = _L_PROSE + 6 + mark
                    at += 1
            before += core[index]
            previous = 1 if core[index] else 0
        else:
            features[index, at] = _N_GROUP + group[index]
            features[index, at + 1] = _N_LINKED + _bin(_DENSITIES, density)
            features[index, at + 2] = _N_MEAN + _bin(_LENGTHS, letters[index] / max(leaves[index], 1))
            features[index, at + 3] = _N_SHARE + _bin(_SHARES, share)
            features[index, at + 4] = _N_OWN + _bin(_SHARES, prose_p[index] / whole)
            features[index, at + 5] = _N_MAIN + (
                0 if index == main else (1 if holds[index] else 2 + min(where[index], 2))
            )
            at += 6
        many[index] = at
