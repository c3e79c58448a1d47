"""The proof of the split: no training document is similar to a held-out one.

In: the training documents as a stream of tables, and the held-out documents. Steps: words and shingles as plain Python
strings and tuples; a dictionary from held-out shingle to the documents that hold it; every training document's set
against it; Jaccard. Out: the violations, empty when the split holds.

This is the definition of similarity written a second time, on purpose, from the Unicode database and Python sets. It
shares no code with dedup or the matcher (no folding table, no hash, no index), so a mistake there shows up here.

Cost: 2 to 4 MB of text a second and one core; memory is the held-out shingles plus one training document's.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable
from functools import cache
from typing import Final, NamedTuple

import pyarrow as pa

from pipelines.core.fingerprint import Algorithm

VERIFY_SPLITS: Final = Algorithm(f"verify_splits-unicode-{unicodedata.unidata_version}", 1)

_WITHOUT_SPACES: Final = re.compile(
    r"CJK (UNIFIED|COMPATIBILITY) IDEOGRAPH|IDEOGRAPHIC (ITERATION|CLOSING|NUMBER ZERO)|BOPOMOFO|HENTAIGANA|HIRAGANA"
    r"|(HALFWIDTH )?KATAKANA|COMBINING KATAKANA-HIRAGANA"
    r"|THAI |LAO |MYANMAR |KHMER |TAI |NEW TAI |BALINESE |JAVANESE |YI "
)
"""Unicode names of characters that stand for a word each."""


class Violation(NamedTuple):
    """A training document that is too similar to a held-out one."""

    train: bytes
    heldout: bytes
    similarity: float


class _Alphabet(dict[int, str]):
    """A translation table that is filled as characters are met: the folded character, set apart where it is a word."""

    def __missing__(self, code: int) -> str:
        self[code] = result = _fold(chr(code))
        return result


def _fold(character: str) -> str:
    """A character as it is compared: case, accents and width folded, invisible ones gone, anything else a blank."""
    if "！" <= character <= "～":
        character = unicodedata.normalize("NFKC", character)
    category = unicodedata.category(character)
    if character == "\u200b":
        return " "
    if category == "Cf" or "\u0300" <= character <= "\u036f" or _is_variation_selector(character):
        return ""
    if category[0] not in "LMN":
        return " "
    folded = character.casefold()
    bare = "".join(c for c in unicodedata.normalize("NFD", folded) if not "\u0300" <= c <= "\u036f")
    if len(bare) == 1:
        character = bare
    elif len(folded) == 1:
        character = folded
    return f" {character} " if stands_alone(character) else character


def _is_variation_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


@cache
def stands_alone(character: str) -> bool:
    """Whether the character belongs to a script that writes no spaces between words."""
    return _WITHOUT_SPACES.match(unicodedata.name(character, "")) is not None


def words_of(text: str, alphabet: dict[int, str] | None = None) -> list[str]:
    """The compared words of a text, in order."""
    return text.translate(_Alphabet() if alphabet is None else alphabet).split()


def shingles_of(words: list[str], ngram: int, ngram_unspaced: int) -> set[Hashable]:
    """The shortest runs of words that reach the weight of one shingle, as tuples; all words when they are too few.

    A word weighs 1/ngram and a character of a script without spaces 1/ngram_unspaced.
    """
    if not words:
        return set()
    alone = [len(word) == 1 and word > "\u0e00" and stands_alone(word) for word in words]
    if not any(alone):
        if len(words) < ngram:
            return {tuple(words)}
        return set(zip(*(words[offset:] for offset in range(ngram)), strict=False))
    weights = [ngram if single else ngram_unspaced for single in alone]
    whole = ngram * ngram_unspaced
    found: set[Hashable] = set()
    first = weight = 0
    for last, added in enumerate(weights):
        weight += added
        while weight - weights[first] >= whole:
            weight -= weights[first]
            first += 1
        if weight >= whole:
            found.add(tuple(words[first : last + 1]))
    return found or {tuple(words)}


def check_splits(
    train: Iterable[pa.Table], heldout: pa.Table, threshold: float, ngram: int, ngram_unspaced: int
) -> list[Violation]:
    """Every pair (training document, held-out document) whose Jaccard similarity reaches the threshold.

    Tables need `id` and `text`. A document whose id is in both is a violation of similarity 1 as well.
    """
    alphabet = _Alphabet()
    ids = heldout["id"].to_pylist()
    holders: dict[Hashable, list[int]] = {}
    sizes: list[int] = []
    for row, text in enumerate(heldout["text"].to_pylist()):
        own = shingles_of(words_of(text, alphabet), ngram, ngram_unspaced)
        sizes.append(len(own))
        for shingle in own:
            holders.setdefault(shingle, []).append(row)
    known, own_ids = holders.keys(), set(ids)
    violations = []
    for part in train:
        for key, text in zip(part["id"].to_pylist(), part["text"].to_pylist(), strict=True):
            if key in own_ids:
                violations.append(Violation(key, key, 1.0))
                continue
            own = shingles_of(words_of(text, alphabet), ngram, ngram_unspaced)
            shared = Counter(row for shingle in own & known for row in holders[shingle])
            for row, count in sorted(shared.items()):
                similarity = count / (len(own) + sizes[row] - count)
                if similarity >= threshold:
                    violations.append(Violation(key, ids[row], similarity))
    return violations
