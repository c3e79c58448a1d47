"""A page to a flat tree: one pass over its bytes that tokenizes, closes what HTML leaves open, and measures text.

UTF-8 bytes come in. Step 1: tags, attributes, comments and text are told apart by the tokenizer's rules of the HTML
standard; the content of scripts, styles and the like is skipped. Step 2: elements are nested by the rules that change
where text belongs: implied ends of paragraphs, list items, table parts and options, scopes of end tags, links closed
across blocks; elements that a parser would move or build twice (foster parents, formatting elements) stay where they
are written. Step 3: `class`, `id` and `role` become bits by the words in them (`html_words`). Out go arrays by node,
in document order, so that the subtree of node `n` is the range `n` to `end[n]`.

Time and memory are bounded whatever the bytes are: depth is cut at `MAX_DEPTH`, below which elements lie beside one
another; a page ends at its first tag with too many attributes, at too many nodes, or when looking for what end tags
close takes too many steps. Real pages have a depth of 20 to 60. 700 MB/s of pages with their
scripts (compiled once per machine, then cached).
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.corpus.extraction.html_scan import find_byte, hash_of, hides, is_space, look_up, raw_end, word_bits
from pipelines.corpus.extraction.html_words import (
    HINT_KEYS,
    HINT_VALUES,
    ROLE_KEYS,
    ROLE_VALUES,
    SUPPRESSED,
    TAG_KEYS,
    TAG_KINDS,
    TAG_VALUES,
    TAGS,
    Kind,
    name_hash,
)

MAX_DEPTH: Final = 1024
WORK_FACTOR: Final = 8
"""Steps through open elements per byte of the page; real pages take less than 1, `</x>` under 1,000 `<b>` takes 250."""

Array = npt.NDArray[Any]


class Bounds(NamedTuple):
    """Beyond these a page has no tree: nodes, elements inside one another, attributes of one tag."""

    nodes: int = 1_000_000
    depth: int = MAX_DEPTH
    attributes: int = 4096


DEFAULT_BOUNDS: Final = Bounds()


class StructureError(ValueError):
    """A page beyond its bounds: `reason` in one word, `detail` with the number."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class FlatTree(NamedTuple):
    """Columns by node: `tag` (`TAGS`; `text` for text), `parent` (-1 for none), `end` (one past the last descendant),
    `bits` (hints), `start` and `stop` (bytes of a text, or of the attribute value that counts for the tag), `letters`
    (bytes of text that are no white space, two-byte characters counted once), `stops` (commas and ends of sentences),
    `linked` (1 inside of a link)."""

    tag: Array
    parent: Array
    end: Array
    bits: Array
    start: Array
    stop: Array
    letters: Array
    stops: Array
    linked: Array


def flat_tree(page: bytes, bounds: Bounds = DEFAULT_BOUNDS) -> FlatTree:
    """The tree of a page in UTF-8; StructureError for one beyond its bounds."""
    data = np.frombuffer(page, np.uint8)
    words, most_work = data[: len(data) // 8 * 8].view(np.uint64), WORK_FACTOR * len(data) + 4096
    columns, nodes, deepest, attributes, work = _build(
        data, words, bounds.nodes, bounds.attributes, most_work,
        TAG_KEYS, TAG_VALUES, TAG_KINDS, HINT_KEYS, HINT_VALUES, ROLE_KEYS, ROLE_VALUES,
    )  # fmt: skip
    if attributes > bounds.attributes:
        raise StructureError("html_too_many_attributes", f"at least {attributes} in one tag")
    if nodes > bounds.nodes:
        raise StructureError("html_too_many_nodes", f"more than {bounds.nodes} elements and runs of text")
    if deepest > bounds.depth:
        raise StructureError("html_too_deep", f"more than {bounds.depth} elements inside one another")
    if work > most_work:
        raise StructureError("html_too_tangled", f"{work} steps through open elements in {len(data)} bytes")
    return FlatTree(*columns)


_CLASS, _ID, _ROLE, _STYLE, _ALT, _LANG, _TYPE, _ITEMPROP, _ALTTEXT, _ENCODING, _ARIA, _HIDDEN_NAME = (
    np.uint64(name_hash(name))
    for name in b"class id role style alt lang type itemprop alttext encoding aria-hidden hidden".split()
)
_TEXT, _A, _P, _LI, _DT, _DD, _OPTION, _HEAD, _HTML, _BODY, _TABLE, _TR, _TD, _TH = (
    TAGS[name]
    for name in ("text", "a", "p", "li", "dt", "dd", "option", "head", "html", "body", "table", "tr", "td", "th")
)
_SCRIPT, _IMG, _MATH, _SVG, _TITLE, _ANNOTATION, _DIV, _ADDRESS = (
    TAGS[name] for name in ("script", "img", "math", "svg", "title", "annotation", "div", "address")
)
_VOID, _BLOCK, _RAW, _PART, _HEADING, _META = (
    int(kind) for kind in (Kind.VOID, Kind.BLOCK, Kind.RAW, Kind.TABLE_PART, Kind.HEADING, Kind.METADATA)
)
_BARRED, _TEMPLATE = int(Kind.BARRED), TAGS["template"]
_SUPPRESSED = int(SUPPRESSED)


@njit(cache=True, nogil=True)
def _build(  # type: ignore[no-untyped-def]
    page, words, max_nodes, max_attributes, max_work, tag_keys, tag_values, tag_kinds, hint_keys, hint_values,
    role_keys, role_values,
):  # fmt: skip
    """(columns, nodes, the most open elements, the most attributes, steps through open elements).

    Ends beyond a bound. Every `<` gives two nodes at most: itself and the text behind it.
    """
    size, count, at, top, links = len(page), 0, 0, 0, 0
    room = 0
    for byte in page:
        room += byte == 60
    room = min(2 * room, max_nodes) + 3
    tag, bits, linked = np.empty(room, np.int16), np.zeros(room, np.int64), np.zeros(room, np.uint8)
    parent, end, start, stop = (
        np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int32),
    )  # fmt: skip
    letters, stops = np.zeros(room, np.int32), np.zeros(room, np.int32)
    deepest, most, work = 0, 0, 0
    open_node = np.empty(MAX_DEPTH, np.int32)
    open_name = np.empty(MAX_DEPTH, np.uint64)
    open_tag = np.empty(MAX_DEPTH, np.int32)
    open_kind = np.empty(MAX_DEPTH, np.int32)
    foreign = 0
    seen_body = False
    while at < size and count <= max_nodes and most <= max_attributes and work <= max_work:
        if page[at] != 60 or at + 1 >= size:
            # Text up to the next tag.
            first, many, points = at, 0, 0
            while at < size:
                byte = page[at]
                if byte == 60 and at > first:
                    following = page[at + 1] | 32 if at + 1 < size else 0
                    if (97 <= following <= 122) or following == 47 or following == 33 | 32 or following == 63:
                        break
                if byte == 38:
                    # A character reference is one letter, a no-break space none.
                    behind = at + 1
                    while (
                        behind < size
                        and behind < at + 10
                        and (48 <= page[behind] <= 57 or 97 <= page[behind] | 32 <= 122 or page[behind] == 35)
                    ):
                        behind += 1
                    if behind < size and page[behind] == 59:
                        many += 0 if behind == at + 5 and page[at + 1] == 110 and page[at + 2] == 98 else 1
                        at = behind
                    else:
                        many += 1
                elif not is_space(byte) and not (byte == 0xC2 and at + 1 < size and page[at + 1] == 0xA0):
                    if byte < 128:
                        many += 1
                        if byte == 44 or byte == 46 or byte == 33 or byte == 63 or byte == 59:
                            points += 1
                    elif byte >= 192:
                        many += 1
                        # U+3001, U+3002 and the full-width marks
                        if byte == 0xE3 and at + 2 < size and page[at + 1] == 0x80 and page[at + 2] in (0x81, 0x82):
                            points += 1
                        elif byte == 0xEF and at + 2 < size and page[at + 1] == 0xBC:
                            points += 1 if page[at + 2] in (0x8C, 0x81, 0x9F, 0x9B) else 0
                        if byte >= 0xE0:
                            many += 2
                at += 1
            tag[count], parent[count] = _TEXT, open_node[top - 1] if top else -1
            end[count], start[count], stop[count] = count + 1, first, at
            letters[count], stops[count], linked[count] = many, points, 1 if links else 0
            count += 1
            continue
        following = page[at + 1]
        if following == 33 or following == 63:
            # A comment ends at `-->` or `--!>`; anything else at `>`.
            if at + 3 < size and page[at + 2] == 45 and page[at + 3] == 45:
                at += 4
                if at < size and page[at] == 62:
                    at += 1
                elif at + 1 < size and page[at] == 45 and page[at + 1] == 62:
                    at += 2
                else:
                    at = find_byte(page, words, at, 62)
                    while at < size:
                        if page[at - 1] == 45 and page[at - 2] == 45:
                            break
                        if page[at - 1] == 33 and page[at - 2] == 45 and page[at - 3] == 45:
                            break
                        at = find_byte(page, words, at + 1, 62)
                    at += 1
            else:
                at = find_byte(page, words, at, 62) + 1
            continue
        closing = following == 47
        name_at = at + 2 if closing else at + 1
        letter = page[name_at] | 32 if name_at < size else 0
        if letter < 97 or letter > 122:
            if closing:  # `</` and no letter: a comment
                at = find_byte(page, words, at, 62) + 1
                continue
            # A `<` that opens nothing is text.
            tag[count], parent[count] = _TEXT, open_node[top - 1] if top else -1
            end[count], start[count], stop[count] = count + 1, at, at + 1
            letters[count], linked[count] = 1, 1 if links else 0
            count += 1
            at += 1
            continue
        name_stop = name_at
        while name_stop < size and not is_space(page[name_stop]) and page[name_stop] != 47 and page[name_stop] != 62:
            name_stop += 1
        name = hash_of(page, name_at, name_stop)
        this = int(look_up(tag_keys, tag_values, name))
        kind = tag_kinds[this]
        # Attributes, of end tags too.
        at = name_stop
        node_bits, value_start, value_stop = np.int64(0), 0, 0
        closed_itself = False
        attributes = 0
        while at < size and attributes <= max_attributes:
            while at < size and (is_space(page[at]) or page[at] == 47):
                closed_itself = page[at] == 47
                at += 1
            if at >= size:
                break
            if page[at] == 62:
                at += 1
                break
            closed_itself = False
            attributes += 1
            attribute_at = at
            at += 1
            while at < size and not is_space(page[at]) and page[at] != 47 and page[at] != 62 and page[at] != 61:
                at += 1
            attribute_stop = at
            while at < size and is_space(page[at]):
                at += 1
            first, last = at, at
            if at < size and page[at] == 61:
                at += 1
                while at < size and is_space(page[at]):
                    at += 1
                if at < size and (page[at] == 34 or page[at] == 39):
                    quote = page[at]
                    at += 1
                    first = at
                    at = last = find_byte(page, words, at, quote)
                    at += 1
                else:
                    first = at
                    while at < size and not is_space(page[at]) and page[at] != 62:
                        at += 1
                    last = at
            width = attribute_stop - attribute_at
            if closing or width < 2 or width > 11:
                continue
            attribute = hash_of(page, attribute_at, attribute_stop)
            if attribute in (_CLASS, _ID):
                node_bits |= word_bits(page, first, last, hint_keys, hint_values)
            elif attribute in (_ROLE, _ITEMPROP):
                node_bits |= look_up(role_keys, role_values, hash_of(page, first, last))
            elif attribute == _STYLE:
                if hides(page, first, last):
                    node_bits |= _SUPPRESSED
            elif attribute == _ARIA:
                if last - first == 4:  # true
                    node_bits |= _SUPPRESSED
            elif attribute == _HIDDEN_NAME:
                node_bits |= _SUPPRESSED
            elif (
                (attribute == _ALT and this == _IMG)
                or (attribute == _LANG and this == _HTML)
                or (attribute == _ALTTEXT and this == _MATH)
                or (attribute == _TYPE and this == _SCRIPT)
                or (attribute == _ENCODING and this == _ANNOTATION)
            ):
                value_start, value_stop = first, last
        most = max(most, attributes)
        if closing:
            if this in (_BODY, _HTML):
                continue
            part = kind & _PART
            # What is no text ends at its end tag, whatever is open in it: nothing behind it may be lost with it.
            through = this == _TEMPLATE or kind & _BARRED
            index = top - 1
            while index >= 0 and open_name[index] != name:
                if not through and (open_tag[index] == _TABLE or (not part and open_kind[index] & _PART)):
                    index = -1
                    break
                if not through and not (kind & _BLOCK) and this != _A and open_kind[index] & _BLOCK:
                    index = -1
                    break
                index -= 1
                work += 1
            if index < 0:
                continue
            if this == _A:
                # `<a><div></a>` ends the link, not the division.
                blocks = False
                work += top - index
                for above in range(index + 1, top):
                    if open_kind[above] & _BLOCK:
                        blocks = True
                if blocks:
                    open_name[index], open_tag[index] = np.uint64(1), -1
                    links -= 1
                    continue
            while top > index:
                top -= 1
                end[open_node[top]] = count
                links -= 1 if open_tag[top] == _A else 0
                foreign -= 1 if open_tag[top] == _SVG or open_tag[top] == _MATH else 0
            continue
        if this in (_HTML, _BODY):
            # The first of each is an element; more only add to what there is.
            if count and (this == _HTML or seen_body):
                continue
            seen_body = seen_body or this == _BODY
        # What this start tag ends: an index of the stack, or top.
        cut = top
        if not foreign:
            if top and open_tag[top - 1] == _HEAD and not kind & _META:
                cut = top - 1
            elif this == _BODY:
                for index in range(top):
                    if open_tag[index] == _HEAD:
                        cut = index
            elif this == _A:
                index = top - 1
                while index >= 0 and not open_kind[index] & _BLOCK:
                    if open_tag[index] == _A:
                        cut = index
                        break
                    index -= 1
                work += top - index
            elif this == _OPTION:
                if top and open_tag[top - 1] == _OPTION:
                    cut = top - 1
            elif kind & _PART and this != _TABLE:
                # A cell ends cells, a row rows and cells, a section all three.
                index = top - 1
                while index >= 0 and open_tag[index] != _TABLE:
                    other = open_tag[index]
                    cell = other in (_TD, _TH)
                    if (
                        cell
                        or (this != _TD and this != _TH and other == _TR)
                        or other == this
                        or (this != _TD and this != _TH and this != _TR and open_kind[index] & _PART)
                    ):
                        cut = index
                    index -= 1
                work += top - index
            elif kind & _BLOCK:
                if this in (_LI, _DT, _DD):
                    index = top - 1
                    while index >= 0:
                        other = open_tag[index]
                        if other == this or (this != _LI and (other in (_DT, _DD))):
                            cut = index
                            break
                        if open_kind[index] & (_BLOCK | _PART) and other not in (_P, _DIV, _ADDRESS):
                            break
                        index -= 1
                    work += top - index
                if cut == top:
                    index = top - 1
                    while index >= 0 and not open_kind[index] & (_PART | _BLOCK):
                        index -= 1
                    work += top - index
                    if index >= 0 and (open_tag[index] == _P or (kind & _HEADING and open_kind[index] & _HEADING)):
                        cut = index
        while top > cut:
            top -= 1
            end[open_node[top]] = count
            links -= 1 if open_tag[top] == _A else 0
        tag[count], parent[count], bits[count] = this, open_node[top - 1] if top else -1, node_bits
        start[count], stop[count], end[count] = value_start, value_stop, count + 1
        count += 1
        if kind & _RAW and not foreign:
            first = at
            at = raw_end(page, words, at, name_at, name_stop)
            if this == _TITLE or (this == _SCRIPT and at > first):
                tag[count], parent[count], end[count] = _TEXT, count - 1, count + 1
                start[count], stop[count] = first, at
                end[count - 1] = count + 1
                count += 1
            at = find_byte(page, words, at, 62) + 1
            continue
        if kind & _VOID or (closed_itself and (foreign or this in (_SVG, _MATH))) or top >= MAX_DEPTH:
            continue
        open_node[top], open_name[top], open_tag[top], open_kind[top] = count - 1, name, this, kind
        links += 1 if this == _A else 0
        foreign += 1 if this in (_SVG, _MATH) else 0
        top += 1
        deepest = max(deepest, top)
    while top:
        top -= 1
        end[open_node[top]] = count
    columns = (
        tag[:count], parent[:count], end[:count], bits[:count], start[:count], stop[:count], letters[:count],
        stops[:count], linked[:count],
    )  # fmt: skip
    return columns, count, deepest, most, work
