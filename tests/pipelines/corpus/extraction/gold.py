"""The article-extraction benchmark: its pages with their texts, its measure, and its hosts in halves and folds."""

import hashlib
import io
import json
import re
from collections import Counter
from typing import NamedTuple
from urllib.parse import urlsplit

import zstandard

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Record
from pipelines.corpus.extraction.encoding import decode
from tests.shared_data import shared

FOLDS = 6
WORD = re.compile(r"\w+")


class GoldPage(NamedTuple):
    url: str
    text: str
    html: str

    @property
    def host_digest(self) -> bytes:
        return hashlib.sha256((urlsplit(self.url).hostname or "").encode()).digest()

    @property
    def fitted(self) -> bool:
        """Whether the page's host is in the half that weights are fitted on."""
        return bool(self.host_digest[0] & 1)

    @property
    def fold(self) -> int:
        """The fold of the page's host in cross-validation."""
        return self.host_digest[1] % FOLDS


def gold_texts() -> dict[str, str]:
    """URL -> the text that people marked."""
    with shared("html_gold/gold.jsonl.zst").open("rb") as stream:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(stream), encoding="utf-8")
        return {row["url"]: row["text"] for row in map(json.loads, lines)}


def gold_pages() -> list[GoldPage]:
    gold = gold_texts()
    records = read_records(shared("html_gold/real-pages.warc.gz"), "x", ReaderConfig(format="warc"))
    return [
        GoldPage(record.url, gold[record.url], decode(record.body, record.charset, markup=True).text)
        for record in records
        if isinstance(record, Record) and isinstance(record.body, bytes) and record.url is not None
    ]


def shingles(text: str) -> Counter[tuple[str, ...]]:
    words = WORD.findall(text)
    return Counter(tuple(words[at : at + 4]) for at in range(max(1, len(words) - 3)))


def shingle_precision_recall(gold: str, found: str) -> tuple[float, float]:
    """Of the 4-gram shingles of one page."""
    wanted, got = shingles(gold), shingles(found)
    common = sum((wanted & got).values())
    return common / sum(got.values()), common / sum(wanted.values())


def shingle_f1(pairs: list[tuple[str, str]]) -> float:
    """F1 of mean precision and mean recall over 4-gram shingles, as the article-extraction benchmark computes it."""
    each = [shingle_precision_recall(gold, found) for gold, found in pairs]
    precision, recall = (sum(values) / len(pairs) for values in zip(*each, strict=True))
    return 2 * precision * recall / (precision + recall)
