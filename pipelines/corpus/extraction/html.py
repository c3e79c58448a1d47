"""An HTML page to its main content: paragraphs, headings, lists, tables and code as plain text, with title and
language.

The text of one page comes in. Step 1: the bounds of its structure (`html_guard`), before a parser sees it. Step 2: it
is parsed (lexbor, by resiliparse); where the depth bound was in doubt, the true depth is measured. Step 3:
resiliparse's main-content extraction with the configured parts. Out goes a `Page`, or a `Refusal` with its reason.

Measured on the 181 pages of the article-extraction benchmark (4-gram shingle F1, `test_html.py`): 0.933 with bylines,
comments and alternative texts left out, 0.898 with resiliparse's defaults. Cost: 30 MB/s, 180 pages/s of 175 KB on one
core.
"""

from typing import Final, NamedTuple

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree
from resiliparse.parse.html.node import DOMNode

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.extraction.html_guard import MAX_STACK, html_bounds

EXTRACTION: Final = Algorithm("html_extraction", 1)
MAX_HIDDEN: Final = 2000
"""Self-closed tags in SVG that a parser might have nested all the same: 2,000 levels take 0.12 s to extract."""
_SHALLOW: Final = 3
_NO_PROSE: Final = "script, style, img, svg, div, article, section, form, input, button, h1, h2, h3, h4, h5, h6"
_SHALLOW_LISTS: Final = "body > ul, body > * > ul, body > * > * > ul"
"""Lists with fewer than `_SHALLOW` ancestors below the body: resiliparse 2.0.1 drops all of them."""
MAX_TITLE_CHARACTERS: Final = 500
MAX_LANGUAGE_CHARACTERS: Final = 35
"""The longest language tag that RFC 5646 asks programs to hold."""


class Page(NamedTuple):
    text: str
    title: str | None
    language: str | None


class Refusal(NamedTuple):
    reason: str
    detail: str


def extract_page(html: str, config: ExtractionConfig) -> Page | Refusal:
    """The main content of a page. A parser's failure is a refusal, never an exception."""
    bounds = html_bounds(html.encode("utf-8", "replace"))
    if bounds.work_exceeded or bounds.attributes > config.max_html_attributes:
        return Refusal("html_too_many_attributes", f"at least {bounds.attributes} in one tag")
    if bounds.nodes > config.max_html_nodes:
        return Refusal("html_too_many_nodes", f"{bounds.nodes} elements, the limit is {config.max_html_nodes}")
    if bounds.depth >= MAX_STACK:
        return Refusal("html_too_deep", f"{MAX_STACK} elements or more are open at once")
    try:
        tree = HTMLTree.parse(html)
        if bounds.depth > config.max_html_depth or bounds.hidden > MAX_HIDDEN:
            depth = _depth(tree, config.max_html_depth)
            if depth > config.max_html_depth:
                return Refusal("html_too_deep", f"more than {config.max_html_depth} elements inside one another")
        if config.main_content:
            _shelter_lists(tree)
        text = extract_plain_text(
            tree,
            main_content=config.main_content,
            list_bullets=True,
            alt_texts=config.alt_texts,
            comments=config.comments,
            post_meta=config.post_meta,
        )
        return Page(text, _title(tree), _language(tree))
    except BaseException as error:
        # A panic in the Rust extension arrives as a BaseException of its own; only real signals go on.
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | MemoryError):
            raise
        return Refusal("html_unreadable", f"{type(error).__name__}: {error}"[:200])


def _shelter_lists(tree: HTMLTree) -> None:
    """Move lists of prose near the top of the page deeper, for the extractor takes every shallow `<ul>` for navigation.

    A list is prose when it holds no blocks, pictures or controls and less than half of its text is in links. Wrapped in
    `_SHALLOW` `<div>`s it is judged as deeper lists are, by its class and role.
    """
    body = tree.body
    if body is None:
        return
    for items in body.query_selector_all(_SHALLOW_LISTS):
        text, parent = items.text or "", items.parent
        if parent is None or not text.strip() or items.query_selector(_NO_PROSE) is not None:
            continue
        linked = sum(len(link.text or "") for link in items.query_selector_all("a"))
        if 2 * linked >= len(text):
            continue
        outer = tree.create_element("div")
        if outer is None:
            continue
        inner = outer
        for _ in range(_SHALLOW - 1):
            division = tree.create_element("div")
            if division is not None:
                inner.append_child(division)
                inner = division
        parent.insert_before(outer, items)
        inner.append_child(items)


def _depth(tree: HTMLTree, limit: int) -> int:
    """The depth of the deepest node, or `limit + 1` for more; iterative, since the tree may be deep. 10 us a node."""
    node: DOMNode | None = tree.document
    depth = deepest = 0
    while node is not None and depth <= limit:
        if node.first_child is not None:
            node = node.first_child
            depth += 1
            deepest = max(deepest, depth)
            continue
        while node is not None and node.next is None:
            node = node.parent
            depth -= 1
        if node is not None:
            node = node.next
    return deepest


def _title(tree: HTMLTree) -> str | None:
    title = " ".join((tree.title or "").split())
    return title[:MAX_TITLE_CHARACTERS] or None


def _language(tree: HTMLTree) -> str | None:
    """The language that the page declares on `<html lang>`, as written."""
    root = tree.document.query_selector("html") if tree.document is not None else None
    tag = (root.getattr("lang") or "").strip() if root is not None else ""
    usable = (
        tag
        and len(tag) <= MAX_LANGUAGE_CHARACTERS
        and tag.replace("-", "").replace("_", "").isalnum()
        and tag.isascii()
    )
    return tag if usable else None
