"""The vocabulary of pages: elements with their kinds, and the words of `class`, `id` and `role` that tell what a part
of a page is for.

The words are those that themes, frameworks and publishing systems of every language share (they are English
everywhere); none belongs to a site.
"""

from enum import IntFlag
from typing import Final

import numpy as np
import numpy.typing as npt


class Kind(IntFlag):
    """How an element nests and what it does to text."""

    VOID = 1
    BLOCK = 2
    RAW = 4
    """Its content is text up to its end tag."""
    TABLE_PART = 8
    HEADING = 16
    METADATA = 32
    """May stand in `<head>`."""
    BARRED = 64
    """Never text of the page: controls, embedded things, drawings."""
    PARAGRAPH = 128
    """A blank line stands before and after it."""


_KINDS: Final = (
    (Kind.VOID | Kind.METADATA, "base link meta basefont bgsound"),
    (Kind.VOID, "area br col embed img input keygen param source track wbr frame"),
    (Kind.VOID | Kind.BLOCK | Kind.PARAGRAPH, "hr"),
    (Kind.RAW | Kind.METADATA | Kind.BARRED, "script style title noscript"),
    (Kind.RAW | Kind.BARRED, "textarea iframe noembed noframes xmp"),
    (Kind.METADATA, "head template"),
    (
        Kind.BLOCK,
        "html body div main article section header footer nav aside address center details summary dialog dir fieldset "
        "form li dt dd menu hgroup search frameset legend figcaption figure",
    ),
    (Kind.BLOCK | Kind.PARAGRAPH, "p blockquote ul ol dl pre listing plaintext"),
    (Kind.BLOCK | Kind.HEADING | Kind.PARAGRAPH, "h1 h2 h3 h4 h5 h6"),
    (Kind.BLOCK | Kind.TABLE_PART | Kind.PARAGRAPH, "table"),
    (Kind.BLOCK | Kind.TABLE_PART, "caption tbody thead tfoot tr td th"),
    (Kind.BLOCK | Kind.BARRED, "select optgroup option datalist"),
    (Kind.BARRED, "button svg canvas audio video object map progress meter rp"),
    (
        Kind(0),
        "text a b i u s em strong small big font tt code kbd samp var sub sup span q cite abbr time math "
        "annotation label ins del mark",
    ),
    (Kind.BARRED, "rt rtc"),
)
_NAMES: Final = ("unknown", *(name for _, names in _KINDS for name in names.split()))
TAGS: Final = {name: number for number, name in enumerate(_NAMES)}
"""Numbers of the elements; `text` is a text node, `unknown` an element of any other name."""
TAG_KINDS: Final = np.array(
    [0, *(int(kind) for kind, names in _KINDS for _ in names.split())],
    np.int32,
)

(
    NAVIGATION,
    SIDE,
    FOOT,
    HEAD,
    COMMENT,
    SHARE,
    RELATED,
    ADVERT,
    META,
    CALL,
    MEDIA,
    BODY,
    HIDDEN,
    LANDMARK,
    MAIN,
    BIO,
    SUPPRESSED,
) = (1 << shift for shift in range(17))
_PREFIX: Final = 1 << 62

HINTS: Final = {
    NAVIGATION: "nav nav* menu* breadcrumb* navbar* navigation* pagination* pager paging toolbar* topbar skip* "
    "sitemap toc* tabs submenu* hamburger pagenav* prev previous",
    SIDE: "sidebar* side aside rail widget* secondary sidecol rightcol leftcol rhs rightrail complementary",
    FOOT: "foot footer* copyright* colophon bottom legal disclaimer imprint",
    HEAD: "header masthead* banner* branding logo* topbar",
    COMMENT: "comment* disqus* respond replies reply discussion* talkback* livefyre* viafoura* responses",
    SHARE: "share* sharing* social* follow* addthis* addtoany* sharedaddy* facebook* twitter* whatsapp* pinterest* "
    "reddit print printer email bookmark*",
    RELATED: "related* recommend* popular* trending* latest outbrain* taboola* similar* suggested* readnext* next "
    "recirc* teaser* promo* upnext* sponsored* most more readmore* recent* also seealso* carousel* headlines* links* "
    "linklist* feed river collection* trc* zergnet* inline-related youmaylike* moreon* mostread* mostpopular* stories",
    ADVERT: "ad ads adv advert* adbox adslot* adunit* adwrap* adcontainer* sponsor* dfp* gpt* advertisement* "
    "googlead* commercial affiliate* promobox*",
    META: "byline* author* date* time timestamp* published* publish meta* tag tags taglist* category categories "
    "posted* credit* dateline* topics keywords labels info readtime* updated source eyebrow kicker section",
    CALL: "newsletter* subscribe* subscription* signup* login* signin* modal* popup* overlay* cookie* gdpr* consent* "
    "paywall* dialog* search* register* form donate* membership* notification* optin* cta alert* toast* tooltip* "
    "dropdown* download* rating* vote* poll* quiz*",
    MEDIA: "caption* figcaption* image* photo* gallery* slideshow* media* video* player* thumb* figure* picture* "
    "lightbox* audio* embed*",
    BODY: "article* body* content* entry* post story* text* main* blog* prose markdown* paragraph* copy lead* "
    "documentation document* wiki* page section chapter message*",
    HIDDEN: "hidden hide visuallyhidden* offscreen invisible noprint screenreader* sronly",
    SUPPRESSED: "linenos* lineno linenumber* linenumbers* editsection*",
    BIO: "bio* about authorbio* authorbox* profile* contributor* writer*",
}
ROLES: Final = {
    LANDMARK: "navigation banner contentinfo complementary search dialog alertdialog menu menubar toolbar tablist "
    "tooltip alert form button listbox",
    MAIN: "main article articlebody articleBody text description",
    META: "author datepublished datemodified publisher",
    COMMENT: "comment comments",
}


def name_hash(name: bytes) -> int:
    """FNV-1a, 64 bits, of a name in lower case, as the kernels compute it; never 0 or 1 for a name."""
    value = 0xCBF29CE484222325
    for byte in name.lower():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def _table(values: dict[int, int]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Open addressing with linear probing, a quarter full at most: lists of keys and values; key 0 ends a search."""
    size = 1 << (4 * len(values)).bit_length()
    keys, found = np.zeros(size, np.uint64), np.zeros(size, np.int64)
    for key, value in values.items():
        slot = (key ^ (key >> 29)) & (size - 1)
        while keys[slot]:
            slot = (slot + 1) & (size - 1)
        keys[slot], found[slot] = key, value
    return keys, found


def _words(lists: dict[int, str]) -> dict[int, int]:
    values: dict[int, int] = {}
    for bits, words in lists.items():
        for word in words.split():
            key = name_hash(word.rstrip("*").replace("-", "").encode())
            values[key] = values.get(key, 0) | bits | (_PREFIX if word.endswith("*") else 0)
    return values


TAG_KEYS, TAG_VALUES = _table({name_hash(name.encode()): number for number, name in enumerate(_NAMES) if number})
HINT_KEYS, HINT_VALUES = _table(_words(HINTS))
ROLE_KEYS, ROLE_VALUES = _table(_words(ROLES))
