"""Fits the weights of main-content extraction: `python -m tests.benchmarks.fit_extraction [--write]`. About 3 minutes.

What is fitted on: the pages of the article-extraction benchmark whose hosts fall into one half by the hash of their
name, and a few pages of documentation of three kinds (Sphinx, DocBook, pydoc), whose text without the frame is known
from their own marks. A leaf of a page is content when half of its words match the gold text in order, another block
when half of the words inside are.

How: the labelling that `html_labels` finds under the present weights, made worse on purpose (each wrong leaf earns the
words that it would cost), is compared with the true one; weights move towards the features and changes that the true
one has more of (a structured hinge loss, by subgradients with one step size a weight, averaged over the second half of
the epochs), and back towards `PRIOR`, what one would say of a feature before seeing a page.

Told are F1 by cross-validation over hosts inside that half, and on the other half, which nothing was fitted on.
`--write` puts the weights into `html_weights.tsv`; bump EXTRACTION then.
"""

import argparse
import difflib
import hashlib
import html as html_entities
import pydoc
import zipfile
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from resiliparse.parse.html import HTMLTree

from pipelines.corpus.extraction.html_blocks import Blocks, blocks_of
from pipelines.corpus.extraction.html_features import FEATURES, ROOM
from pipelines.corpus.extraction.html_labels import (
    CHANGES,
    WEIGHTS_FILE,
    best_labels,
    horizontal,
    keep,
    scores,
    vertical,
)
from pipelines.corpus.extraction.html_tree import FlatTree, flat_tree
from pipelines.corpus.extraction.html_words import TAGS
from tests.pipelines.corpus.extraction.gold import FOLDS, WORD, gold_pages, shingle_f1
from tests.shared_data import shared

Array = npt.NDArray[Any]
EPOCHS, RATE, TOWARDS_PRIOR, LOSS = 40, 0.15, 0.1, 10.0
PAGES_OF_A_KIND: Final = 5
PRIOR: Final = {
    "block: hint navigation": -1, "block: hint side": -1, "block: hint foot": -1.5, "block: hint comment": -1.5,
    "block: hint share": -1.5, "block: hint related": -1, "block: hint advert": -1.5, "block: hint meta": -0.5,
    "block: hint call": -1, "block: hint landmark": -2, "block: hint hidden": -0.5, "block: hint suppressed": -2,
    "block: hint bio": -0.5, "block: hint main": 1, "block: hint body": 0.3, "block is nav": -2, "block is aside": -1.5,
    "block is footer": -2, "block is form": -1, "block is article": 1, "block is main": 1, "leaf: prose": 1,
    "leaf: prose in p": 0.5, "leaf: linked > 0.9": -1.5, "leaf: linked <= 0.9": -0.7, "leaf: ends a sentence": 0.5,
    "leaf: letters <= 1": -0.5, "leaf: letters <= 15": -0.5, "leaf: letters <= 320": 0.5, "leaf: letters > 320": 0.7,
    "leaf: copyright sign": -2, "leaf: in a strong suspect": -3, "leaf: in a weak suspect": -1,
    "leaf: seen before": -1.5, "leaf: symbols > 0.1": -1, "leaf: in main group": 0.7, "leaf: near main group": -0.3,
    "leaf: far from main group": -0.7, "leaf: prose on both sides": 0.5, "leaf: prose on no side": -0.3,
    "leaf: prose above <= 0": -0.2, "leaf: prose left <= 0": -0.5, "block: linked inside > 0.9": -1,
    "block: linked inside <= 0.9": -0.5, "block: prose share <= 0": -0.3, "block: is main group": 0.5,
    "block: far from main group": -0.5, "block: prose in own paragraphs <= 0.9": 0.5,
    "block: prose in own paragraphs > 0.9": 0.8,
}  # fmt: skip
PRIOR_CHANGES: Final = (-4.0, -4.0, -0.5, -1.0, -1.0, -0.5, -2.0, -1.0, -1.5, -1.0, -1.5)


class Example(NamedTuple):
    """A page with its true labels; `words` by block, `texts` of its leaves."""

    gold: str
    blocks: Blocks
    labels: Array
    words: Array
    texts: list[str]
    fold: int
    counts: Array


def example(gold: str, page: str, fold: int) -> Example:
    """The blocks of a page labelled by its gold text."""
    data = page.encode()
    tree = flat_tree(data)
    blocks = blocks_of(data, tree)
    texts = [_text(data, tree, blocks, block) if blocks.leaf[block] else "" for block in range(len(blocks.node))]
    found = [WORD.findall(text) for text in texts]
    size = np.array([len(words) for words in found], float)
    owner = [block for block, words in enumerate(found) for _ in words]
    hits = np.zeros(len(found))
    matcher = difflib.SequenceMatcher(None, [w for words in found for w in words], WORD.findall(gold), autojunk=False)
    for match in matcher.get_matching_blocks():
        for block in owner[match.a : match.a + match.size]:
            # A match of a word or two is chance, unless it is all of its leaf.
            hits[block] += match.size >= 3 or len(found[block]) <= match.size
    true, inside = size * ((size > 0) & (hits >= size / 2)), size.copy()
    for block in range(len(found) - 1, -1, -1):
        if blocks.parent[block] >= 0:
            true[blocks.parent[block]] += true[block]
            inside[blocks.parent[block]] += inside[block]
    labels = np.asarray((inside > 0) & (true * 2 > inside), np.uint8)
    for block in range(len(found)):
        if not inside[block] and blocks.parent[block] >= 0:
            labels[block] = labels[blocks.parent[block]]
    return Example(gold, blocks, labels, size, texts, fold, counts(blocks, labels))


def _text(data: bytes, tree: FlatTree, blocks: Blocks, block: int) -> str:
    pieces = []
    for node in range(blocks.node[block], blocks.stop[block]):
        if tree.tag[node] == TAGS["text"]:
            pieces.append(data[tree.start[node] : tree.stop[node]])
        elif tree.tag[node] == TAGS["br"]:
            pieces.append(b" ")
    return html_entities.unescape(b"".join(pieces).decode("utf-8", "replace"))


def counts(blocks: Blocks, labels: Array) -> Array:
    """How often each feature and each change holds under a labelling."""
    held = (np.arange(ROOM)[None] < blocks.many[:, None]) & (labels[:, None] == 1)
    features = np.bincount(blocks.features[held], minlength=len(FEATURES)).astype(float)
    changes = np.zeros(len(CHANGES))
    whole = 1 + int(blocks.prose[blocks.leaf == 1].sum())
    last: dict[int, int] = {}
    columns = [c.tolist() for c in (blocks.parent, blocks.leaf, blocks.group, blocks.bits, labels)]
    most = (blocks.prose * 2 > whole).tolist()
    links = (blocks.linked * 2 > blocks.letters).tolist()
    for block, (parent, leaf, group, bits, label) in enumerate(zip(*columns, strict=True)):
        change = vertical(columns[4][parent] if parent >= 0 else 1, label, leaf, group, most[block], links[block])
        if change >= 0:
            changes[change] += 1
        if (before := last.get(parent)) is not None:
            alike = (group, leaf, bits) == (columns[2][before], columns[1][before], columns[3][before])
            change = horizontal(columns[4][before], label, alike)
            if change >= 0:
                changes[change] += 1
        last[parent] = block
    return np.concatenate([features, changes])


def fit(examples: list[Example], seed: int = 0) -> Array:
    """The weights of FEATURES, then of CHANGES."""
    random = np.random.default_rng(seed)
    prior = np.array([PRIOR.get(name, 0.0) for name in FEATURES] + list(PRIOR_CHANGES))
    weights, total, squares = prior.copy(), np.zeros_like(prior), np.full_like(prior, 1e-2)
    for epoch in range(EPOCHS):
        for index in random.permutation(len(examples)):
            page = examples[index]
            share = page.words / max((page.words * page.labels).sum(), 1)
            loss = np.where(page.blocks.leaf == 1, LOSS * (3 * share + 0.02 * (page.words > 0)), 0.0)
            unary = scores(page.blocks.features, page.blocks.many, weights[: len(FEATURES)])
            worst = best_labels(unary + np.where(page.labels == 1, -loss, loss), page.blocks, weights[len(FEATURES) :])
            step = (counts(page.blocks, worst) - page.counts) / np.sqrt(len(worst) / 100)
            step += TOWARDS_PRIOR * (weights - prior)
            squares += step * step
            weights = weights - RATE * step / np.sqrt(squares)
            weights[len(FEATURES) :] = np.minimum(weights[len(FEATURES) :], 0.0)
            if epoch >= EPOCHS // 2:
                total += weights
    return total / ((EPOCHS - EPOCHS // 2) * len(examples))


def pair(page: Example, weights: Array) -> tuple[str, str]:
    """(gold, found) text of a page."""
    labels = keep(page.blocks, weights[: len(FEATURES)], weights[len(FEATURES) :])
    return page.gold, "\n".join(text for text, label in zip(page.texts, labels, strict=True) if text and label)


def documentation() -> list[Example]:
    """`PAGES_OF_A_KIND` pages of each kind, chosen by the hash of their name. Contents pages, all links, are left
    out: they would teach that lists of links are content (`keep` sees to them)."""
    pages: dict[str, list[tuple[str, str, str, str]]] = {}
    for archive, frame, main in (
        ("python_docs_en", "a.headerlink", "div[role=main]"),
        ("debian_faq_en_zh_ja_fr", ".navheader, .navfooter", "body"),
    ):
        with zipfile.ZipFile(shared(f"crawl_site/{archive}.zip")) as opened:
            pages[archive] = [(n, opened.read(n).decode("utf-8", "replace"), frame, main) for n in opened.namelist()]
    modules = "textwrap json csv argparse logging tempfile heapq bisect zipfile random statistics"
    topics = "FLOAT LOOPING SEQUENCES ASSIGNMENT STRINGS UNICODE CLASSES with yield"
    paths = [f"/{m}.html" for m in modules.split()] + [f"/topic?key={t}" for t in topics.split()]
    pages["pydoc"] = [(path, pydoc._url_handler(path), "meta", 'div[style*="clear:both"]') for path in paths]
    chosen = []
    for kind in pages.values():
        kind.sort(key=lambda page: hashlib.sha256(page[0].encode()).digest())
        examples: list[Example] = []
        for _, html, frame, main in kind:
            tree = HTMLTree.parse(html)
            for node in tree.document.query_selector_all(f"script, style, {frame}"):
                node.parent.remove_child(node)
            if len(examples) == PAGES_OF_A_KIND:
                break
            page = example(tree.document.query_selector(main).text, html, -1)
            if page.blocks.linked[0] * 3 < page.blocks.letters[0]:
                examples.append(page)
        chosen += examples
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    pages = gold_pages()
    mine = [example(page.text, page.html, page.fold) for page in pages if page.fitted]
    others = [example(page.text, page.html, page.fold) for page in pages if not page.fitted]
    other_kinds = documentation()
    found = []
    for fold in range(FOLDS):
        weights = fit([page for page in mine if page.fold != fold] + other_kinds)
        found += [pair(page, weights) for page in mine if page.fold == fold]
    print(f"{len(mine)} pages of one half of the hosts, cross-validation over hosts: F1 {shingle_f1(found):.4f}")
    weights = fit(mine + other_kinds)
    print(f"the same, fitted on all of them: F1 {shingle_f1([pair(page, weights) for page in mine]):.4f}")
    print(f"{len(others)} pages of the other half: F1 {shingle_f1([pair(page, weights) for page in others]):.4f}")
    if write:
        names = (*FEATURES, *(f"change: {name}" for name in CHANGES))
        rows = [f"{name}\t{weight:.2f}\n" for name, weight in zip(names, weights, strict=True) if abs(weight) >= 0.005]
        WEIGHTS_FILE.write_text("".join(rows), "utf-8")


if __name__ == "__main__":
    main()
