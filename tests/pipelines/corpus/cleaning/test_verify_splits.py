import ast
import unicodedata
from pathlib import Path

import numpy as np

import pipelines.corpus.cleaning.verify_splits as module
from pipelines.corpus.cleaning.config import SplitConfig
from pipelines.corpus.cleaning.holdout import shingle_table
from pipelines.corpus.cleaning.verify_splits import _Alphabet, check_splits, shingles_of, stands_alone, words_of
from pipelines.corpus.dedup.folding import CLASS_SHIFT, CODE_MASK, IGNORED, SEPARATOR, UNSPACED, WORD, fold_table
from tests.pipelines.corpus.cleaning.records import documents, records

CONFIG = SplitConfig()


def test_imports_nothing_of_what_it_checks() -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in names if name.startswith("pipelines")} == {"pipelines.core.fingerprint"}


def test_reads_every_character_as_dedup_does() -> None:
    """Two tables made in different ways, from code point ranges there and from Unicode names here, for all characters
    that can occur in normalized (NFC) text."""
    table, alphabet = fold_table("keep", True), _Alphabet()
    differing = []
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) in ("Cn", "Cs", "Co") or not unicodedata.is_normalized("NFC", character):
            continue
        kind, folded = int(table[code]) >> CLASS_SHIFT, chr(int(table[code]) & CODE_MASK)
        expected = {SEPARATOR: " ", WORD: folded, UNSPACED: f" {folded} ", IGNORED: ""}[kind]
        if alphabet[code] != expected:
            differing.append((hex(code), alphabet[code], expected))
    assert differing == []


def test_sets_are_as_large_and_overlap_as_those_of_the_matcher() -> None:
    names = ("web_en", "zh_general", "code", "wiki_en")
    texts = [r["text"] for name in names for r in records(f"mixture/{name}.jsonl.zst", 25)]
    hashed = [set(row) for row in shingle_table(documents(texts), CONFIG)["shingles"].to_pylist()]
    plain = [shingles_of(words_of(text), CONFIG.ngram, CONFIG.ngram_unspaced) for text in texts]
    assert [len(row) for row in plain] == [len(row) for row in hashed]
    for one in range(0, 100, 7):
        both = [(len(plain[one] & plain[two]), len(hashed[one] & hashed[two])) for two in range(100)]
        assert all(a == b for a, b in both)


def test_shingles_by_hand() -> None:
    assert shingles_of(["a", "b", "c", "d", "e", "f"], 5, 8) == {tuple("abcde"), tuple("bcdef")}
    assert shingles_of(words_of("one, two"), 5, 8) == {("one", "two")} and shingles_of([], 5, 8) == set()
    assert words_of("Café—ＡＢＣ naïve\u200bx 中文。") == ["cafe", "abc", "naive", "x", "中", "文"]
    assert len(shingles_of(words_of("一二三四五六七八九"), 5, 8)) == 2
    assert stands_alone("ひ") and not stands_alone("한") and not stands_alone("a")


def test_planted_leaks_are_found_and_named() -> None:
    texts = [r["text"] for name in ("web_en", "zh_general") for r in records(f"mixture/{name}.jsonl.zst", 60)]
    heldout = documents(texts[::6], key="held.out")
    train = [text for position, text in enumerate(texts) if position % 6]
    words = texts[6].split()
    leak = " ".join(word for position, word in enumerate(words) if position != len(words) // 2) + " Extra words."
    table = documents([*train[:40], leak, *train[40:], texts[66].replace("。", "，")], key="train.one")
    found = check_splits([table.slice(0, 50), table.slice(50)], heldout, 0.8, 5, 8)
    ids, held = table["id"].to_pylist(), heldout["id"].to_pylist()
    assert [(ids.index(v.train), held.index(v.heldout)) for v in found] == [(40, 1), (101, 11)]
    assert all(0.8 <= violation.similarity < 1.0001 for violation in found)
    assert check_splits([heldout], heldout, 0.8, 5, 8)[0].similarity == 1.0
    assert np.all([v.train == v.heldout for v in check_splits([heldout], heldout, 0.8, 5, 8)])
