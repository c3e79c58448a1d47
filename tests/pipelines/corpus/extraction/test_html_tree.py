"""The flat tree against a parser that follows the standard, and the best labelling against all labellings."""

import html as html_entities
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from pipelines.corpus.extraction.html_blocks import blocks_of
from pipelines.corpus.extraction.html_features import FEATURES, ROOM
from pipelines.corpus.extraction.html_labels import CHANGES, WEIGHTS_FILE, best_labels, horizontal, vertical
from pipelines.corpus.extraction.html_scan import find_byte
from pipelines.corpus.extraction.html_tree import MAX_DEPTH, flat_tree
from pipelines.corpus.extraction.html_words import TAG_KINDS, TAGS, Kind
from tests.pipelines.corpus.extraction.gold import gold_pages

NAMES = {number: name for name, number in TAGS.items()}
SKIPPED = {
    "script",
    "style",
    "noscript",
    "textarea",
    "iframe",
    "noembed",
    "noframes",
    "xmp",
    "svg",
    "math",
    "title",
    "template",
}
Leaf = tuple[str, tuple[str, ...]]
"""Text without white space, and the block elements around it."""


def leaves_of_parser(page: str) -> list[Leaf]:
    found: list[Leaf] = []
    document = HTMLTree.parse(page).document
    pending = [(document, ())] if document is not None else []
    while pending:
        node, path = pending.pop()
        if node.type == 3:
            text = "".join(node.text.split())
            if text:
                found.append((text, path))
            continue
        name = node.tag if node.type == 1 else ""
        if name in SKIPPED:
            continue
        if name != "tbody" and TAG_KINDS[TAGS.get(name, 0)] & int(Kind.BLOCK):
            path = (*path, name)
        children = []
        child = node.first_child
        while child is not None:
            children.append((child, path))
            child = child.next
        pending += reversed(children)
    return found


def leaves_of_ours(page: str) -> list[Leaf]:
    data = page.encode()
    tree = flat_tree(data)
    found: list[Leaf] = []
    for node in np.flatnonzero(tree.tag == TAGS["text"]).tolist():
        text = "".join(html_entities.unescape(data[tree.start[node] : tree.stop[node]].decode()).split())
        path: list[str] = []
        above = int(tree.parent[node])
        while above >= 0:
            path.append(NAMES[int(tree.tag[above])])
            above = int(tree.parent[above])
        if text and not SKIPPED & set(path):
            blocks = [name for name in reversed(path) if name != "tbody" and TAG_KINDS[TAGS[name]] & int(Kind.BLOCK)]
            found.append((text, tuple(blocks)))
    return found


def test_real_pages_have_the_tree_of_the_standard() -> None:
    """Text and the blocks around it, on every fourth page of the benchmark."""
    different = 0
    texts = 0
    for _, _, page in gold_pages()[::4]:
        theirs, ours = leaves_of_parser(page), leaves_of_ours(page)
        assert "".join(text for text, _ in ours) == "".join(text for text, _ in theirs)
        different += len(set(theirs) ^ set(ours))
        texts += len(theirs)
    assert different < 0.01 * texts


PIECES = ["a ", "b ", "c&amp;d ", "<br>", "<hr>", "<!-- x -->", "<script>if (a<b) </script>"]
for _name in [
    "div",
    "p",
    "span",
    "li",
    "ul",
    "ol",
    "b",
    "i",
    "h1",
    "h2",
    "section",
    "pre",
    "blockquote",
    "dl",
    "dt",
    "dd",
    "article",
]:
    PIECES += [f"<{_name}>", f"</{_name}>"]


@given(st.lists(st.sampled_from(PIECES), max_size=40))
@settings(max_examples=500, deadline=None)
def test_no_text_is_lost_or_moved(pieces: list[str]) -> None:
    page = "<body>" + "".join(pieces)
    assert "".join(text for text, _ in leaves_of_ours(page)) == "".join(text for text, _ in leaves_of_parser(page))


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_tree(data: bytes) -> None:
    tree = flat_tree(b"<p>" + data.replace(b"x", b"<").replace(b"y", b">").replace(b"z", b"</"))
    nodes = np.arange(len(tree.tag))
    assert (tree.parent < nodes).all()
    assert (tree.end > nodes).all() and (tree.end <= len(nodes)).all()
    assert all(tree.end[node] <= tree.end[parent] for node, parent in enumerate(tree.parent) if parent >= 0)


@pytest.mark.parametrize("tag", ["<svg/>", "<svg class=icon />", "<math/>"])
def test_a_drawing_that_closes_itself_holds_nothing(tag: str) -> None:
    page = f"<p>one {tag} two</p><p>three</p>"
    assert [text for text, _ in leaves_of_ours(page)] == [text for text, _ in leaves_of_parser(page)]


def test_depth_is_cut() -> None:
    tree = flat_tree(b"<div>" * 5000 + b"text")
    levels = np.zeros(len(tree.tag), int)
    for node, parent in enumerate(tree.parent):
        levels[node] = levels[parent] + 1 if parent >= 0 else 0
    assert levels.max() == MAX_DEPTH
    assert len(tree.tag) == 5001


def score(labels: tuple[int, ...], unary: np.ndarray, blocks: object, changes: np.ndarray) -> float:
    """What `best_labels` maximizes, written down again."""
    parent, leaf, group, bits = blocks.parent, blocks.leaf, blocks.group, blocks.bits  # type: ignore[attr-defined]
    prose, letters, linked = blocks.prose, blocks.letters, blocks.linked  # type: ignore[attr-defined]
    whole = 1 + int(prose[leaf == 1].sum())
    total = float((unary * np.array(labels)).sum())
    last: dict[int, int] = {}
    for block, label in enumerate(labels):
        above = int(parent[block])
        kept_above = labels[above] if above >= 0 else 1
        most, links = prose[block] * 2 > whole, linked[block] * 2 > letters[block]
        change = vertical(kept_above, label, leaf[block], group[block], most, links)
        total += changes[change] if change >= 0 else 0.0
        if above in last:
            before = last[above]
            alike = all(column[before] == column[block] for column in (group, leaf, bits))
            change = horizontal(labels[before], label, alike)
            total += changes[change] if change >= 0 else 0.0
        last[above] = block
    return total


@given(st.lists(st.sampled_from(PIECES), max_size=14), st.integers(0, 2**31))
@settings(max_examples=150, deadline=None)
def test_the_labelling_is_the_best_of_all(pieces: list[str], seed: int) -> None:
    page = ("<div>" + "".join(pieces)).encode()
    blocks = blocks_of(page, flat_tree(page))
    size = len(blocks.node)
    if size > 10:
        return
    random = np.random.default_rng(seed)
    unary, changes = random.normal(size=size), -np.abs(random.normal(size=len(CHANGES)))
    found = score(tuple(best_labels(unary, blocks, changes).tolist()), unary, blocks, changes)
    best = max(score(labels, unary, blocks, changes) for labels in itertools.product((0, 1), repeat=size))
    assert found == pytest.approx(best)


def test_every_weight_has_a_feature_and_every_row_has_room() -> None:
    names = [line.split("\t")[0] for line in WEIGHTS_FILE.read_text("utf-8").splitlines()]
    assert set(names) <= {*FEATURES, *(f"change: {name}" for name in CHANGES)}
    assert len(names) == len(set(names)) > 100
    loaded = " ".join(
        [
            "nav",
            "side",
            "footer",
            "comment",
            "share",
            "related",
            "ad",
            "meta",
            "login",
            "media",
            "body",
            "hidden",
            "bio",
            "main",
            "linenos",
        ]
    )
    page = f"<body><p>short</p><div id='x' class='{loaded}' role=navigation style='display:none'>".encode()
    page += b"A sentence that is long enough, with a comma, to be prose for every rule. " * 9 + b"\xc2\xa9 x."
    blocks = blocks_of(page, flat_tree(page))
    assert 12 < blocks.many.max() < ROOM


@given(st.binary(max_size=60), st.integers(0, 70))
@settings(max_examples=500, deadline=None)
def test_a_byte_is_found_where_python_finds_it(data: bytes, at: int) -> None:
    page = np.frombuffer(data, np.uint8)
    words = page[: len(page) // 8 * 8].view(np.uint64)
    for byte in {*data, 60}:
        found = data.find(bytes([byte]), at)
        assert find_byte(page, words, at, byte) == (max(at, len(data)) if found < 0 else found)
