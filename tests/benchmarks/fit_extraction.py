"""Fits the weights of main-content extraction: `python -m tests.benchmarks.fit_extraction [--write]`. About 2 minutes.

What is fitted on: the pages of the article-extraction benchmark whose hosts fall into one half by the hash of their
name, and a few pages of documentation of three kinds (Sphinx, DocBook, pydoc), whose text without the frame is known
from their own marks. Each page of the benchmark is there three times: as it is, and with half and with all of its
`class`, `id`, `role` and `itemprop` taken away, so that structure counts beside names. A leaf of a page is content when
half of its words match the gold text in order, another block when half of the words inside are.

How: the labelling that `html_labels` finds under the present weights, made worse on purpose (each wrong leaf earns the
words that it would cost), is compared with the true one; weights move towards the features and changes that the true
one has more of (a structured hinge loss, by subgradients with one step size a weight, averaged over the second half of
the epochs), and back towards `PRIOR`, what one would say of a feature before seeing a page.

Told are F1 by cross-validation over hosts inside that half, by several ways to cut it (features and constants were
chosen by that alone), and on the other half, which nothing was fitted on; intervals are 95 % of resampled pages. Where
trafilatura is installed its figures on the same pages stand beside. `--write` puts the weights into `html_weights.tsv`;
bump EXTRACTION then.
"""

import argparse
import difflib
import hashlib
import html as html_entities
import importlib
import pydoc
import random
import re
import zipfile
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from resiliparse.parse.html import HTMLTree

from pipelines.corpus.extraction.html_blocks import Blocks, blocks_of
from pipelines.corpus.extraction.html_features import FEATURES
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
from tests.pipelines.corpus.extraction.gold import (
    FOLDS,
    WORD,
    GoldPage,
    gold_pages,
    shingle_f1,
    shingle_precision_recall,
)
from tests.shared_data import shared

Array = npt.NDArray[Any]
EPOCHS, RATE, TOWARDS_PRIOR, LOSS = 20, 0.15, 0.03, 10.0
PAGES_OF_A_KIND: Final = 5
CUTS, RESAMPLED = 4, 1000
UNNAMED: Final = (0.0, 0.5, 1.0)
"""Shares of names taken away from the copies of a page; F1 by cross-validation is 0.966 with them, 0.962 without."""
NAMES = re.compile(r"\s(?:class|id|role|itemprop)\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+)", re.IGNORECASE)
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
    found: Array = np.zeros(len(FEATURES) + len(CHANGES))
    _count(
        blocks.features, blocks.many, blocks.parent, blocks.leaf, blocks.group, blocks.bits, blocks.prose,
        blocks.letters, blocks.linked, labels, found,
    )  # fmt: skip
    return found


@njit(cache=True, nogil=True)
def _count(features, many, parent, leaf, group, bits, prose, letters, linked, labels, found):  # type: ignore[no-untyped-def]
    whole, first = 1, len(found) - len(CHANGES)
    for block in range(len(parent)):
        if leaf[block]:
            whole += prose[block]
    last = np.full(len(parent) + 1, -1, np.int32)
    for block in range(len(parent)):
        if labels[block]:
            for at in range(many[block]):
                found[features[block, at]] += 1
        above, kept_above = len(parent), 1
        if parent[block] >= 0:
            above, kept_above = parent[block], labels[parent[block]]
        most, links = prose[block] * 2 > whole, linked[block] * 2 > letters[block]
        change = vertical(kept_above, labels[block], leaf[block], group[block], most, links)
        if change >= 0:
            found[first + change] += 1
        before = last[above]
        if before >= 0:
            alike = group[block] == group[before] and leaf[block] == leaf[before] and bits[block] == bits[before]
            change = horizontal(labels[before], labels[block], alike)
            if change >= 0:
                found[first + change] += 1
        last[above] = block


def fit(examples: list[Example], seed: int = 0) -> Array:
    """The weights of FEATURES, then of CHANGES."""
    chance = np.random.default_rng(seed)
    prior = np.array([PRIOR.get(name, 0.0) for name in FEATURES] + list(PRIOR_CHANGES))
    weights, total, squares = prior.copy(), np.zeros_like(prior), np.full_like(prior, 1e-2)
    for epoch in range(EPOCHS):
        for index in chance.permutation(len(examples)):
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


def unnamed(html: str, share: float, url: str) -> str:
    """The page with a share of its names taken away."""
    chance = random.Random(url)
    return NAMES.sub(lambda name: "" if chance.random() < share else name.group(), html)


def fold_of(page: GoldPage, cut: int) -> int:
    """The fold of a page's host in one way to cut the hosts."""
    return page.fold if cut == 0 else hashlib.sha256(bytes([cut]) + page.host_digest).digest()[0] % FOLDS


def told(title: str, pairs: list[tuple[str, str]]) -> None:
    """Prints F1 of the mean precision and recall, with the interval of resampled pages."""
    each = np.array([shingle_precision_recall(*one) for one in pairs])
    drawn = each[np.random.default_rng(0).integers(0, len(each), (RESAMPLED, len(each)))].mean(axis=1)
    low, high = np.percentile(2 * drawn.prod(axis=1) / drawn.sum(axis=1), [2.5, 97.5])
    print(f"{title:<60} F1 {shingle_f1(pairs):.4f} [{low:.4f}-{high:.4f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    pages = [page for page in gold_pages() if page.fitted]
    others = [page for page in gold_pages() if not page.fitted]
    copies = [
        [example(page.text, unnamed(page.html, share, page.url), page.fold) for page in pages] for share in UNNAMED
    ]
    other_kinds = documentation()
    crossed: list[list[tuple[str, str]]] = []
    for cut in range(CUTS):
        folds = [fold_of(page, cut) for page in pages]
        found: dict[int, tuple[str, str]] = {}
        for fold in range(FOLDS):
            known = [one for copy in copies for one, its in zip(copy, folds, strict=True) if its != fold]
            weights = fit(known + other_kinds, cut)
            found |= {at: pair(copies[0][at], weights) for at, its in enumerate(folds) if its == fold}
        crossed.append([found[at] for at in range(len(pages))])
    figures = [shingle_f1(pairs) for pairs in crossed]
    print(
        f"cross-validation over hosts, {CUTS} cuts: F1 {np.mean(figures):.4f} [{min(figures):.4f}-{max(figures):.4f}]"
    )
    told(f"{len(pages)} pages of one half of the hosts, cross-validation", crossed[0])
    weights = fit([one for copy in copies for one in copy] + other_kinds)
    told("the same, fitted on all of them", [pair(one, weights) for one in copies[0]])
    told(f"{len(others)} pages of the other half", [pair(example(p.text, p.html, 0), weights) for p in others])
    try:
        trafilatura = importlib.import_module("trafilatura")
    except ImportError:
        print("trafilatura is not installed: pip install trafilatura==2.3.1 lxml_html_clean")
    else:
        for title, some in (("trafilatura on the one half", pages), ("trafilatura on the other half", others)):
            told(title, [(p.text, trafilatura.extract(p.html.encode(), include_comments=False) or "") for p in some])
    if write:
        names = (*FEATURES, *(f"change: {name}" for name in CHANGES))
        rows = [f"{name}\t{weight:.2f}\n" for name, weight in zip(names, weights, strict=True) if abs(weight) >= 0.005]
        WEIGHTS_FILE.write_text("".join(rows), "utf-8")


if __name__ == "__main__":
    main()
