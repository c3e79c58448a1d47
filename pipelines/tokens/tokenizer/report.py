"""How well a tokenizer fits its text: numbers per domain, for the tokenizer's report and its checks.

*Bytes per token*: UTF-8 bytes over tokens. *Fertility*: tokens per word, a word being a run of letters and digits;
for scripts without spaces (Han, kana, Thai and their like) per character, because runs there are clauses.
*Utilization*: share of the usable vocabulary seen at all, and the Renyi efficiency of order 2.5, H_2.5(p) /
log2(usable), which falls when few tokens carry everything. *Round trips*: documents whose decoded ids differ from the
text, or from its normal form when the tokenizer normalizes. Cost: one encoding of the sample.
"""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from pipelines.core.fingerprint import Algorithm
from pipelines.tokens.tokenizer.bundle import TokenizerBundle
from pipelines.tokens.tokenizer.encode import Encoder
from pipelines.tokens.tokenizer.sample import SampleDocument

REPORT = Algorithm("tokenizer_report", 1)

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNIT = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
RENYI_ORDER = 2.5
_GROUP = 256


def tokenizer_report(bundle: TokenizerBundle, documents: Iterable[SampleDocument]) -> dict[str, Any]:
    """JSON-ready numbers: `domains`, `vocabulary`, `round_trip`; ratios of nothing are left out."""
    encoder = Encoder.of(bundle)
    normalizer = Tokenizer.from_buffer(bundle.tokenizer_json).normalizer if encoder.byte_level else None
    usage = np.zeros(bundle.facts.vocab_size, dtype=np.int64)
    totals: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = {}
    failures: list[str] = []
    failed = seen = 0
    for group in _groups(documents):
        tokens, lengths = encoder.encode_documents([document.text for document in group])
        ends = np.cumsum(lengths)
        for document, end, length in zip(group, ends, lengths, strict=True):
            ids = tokens[end - length : end - 1]
            usage += np.bincount(ids, minlength=len(usage))
            numbers = (1, len(document.text.encode()), len(ids), len(_UNIT.findall(document.text)))
            totals.setdefault(document.domain, np.zeros(4, dtype=np.int64))[:] += numbers
            expected = normalizer.normalize_str(document.text) if normalizer else document.text
            seen += 1
            if encoder.decode(ids) != expected:
                failed += 1
                failures += [document.id.hex()] if len(failures) < 20 else []
    usable = bundle.facts.vocab_size - len(bundle.facts.control_ids)
    return {
        "domains": {domain: _domain(totals[domain]) for domain in sorted(totals)},
        "vocabulary": {
            "size": bundle.facts.vocab_size,
            "control_tokens": len(bundle.facts.control_ids),
            "used": int(np.count_nonzero(usage)),
            "utilization": round(np.count_nonzero(usage) / usable, 6),
            "renyi_efficiency": round(renyi_efficiency(usage, usable), 6),
        },
        "round_trip": {"documents": seen, "failures": failed, "first_failures": failures},
    }


def renyi_efficiency(counts: np.ndarray[Any, Any], usable: int) -> float:
    """H_a(p) / log2(usable) with H_a = log2(sum p^a) / (1 - a), a = 2.5; 1 for a uniform vocabulary, 0 without text."""
    used = counts[counts > 0].astype(np.float64)
    if len(used) == 0 or usable < 2:
        return 0.0
    power = np.sum((used / used.sum()) ** RENYI_ORDER)
    return float(np.log2(power) / (1 - RENYI_ORDER) / np.log2(usable))


def _domain(numbers: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, float]:
    documents, size, tokens, words = (int(number) for number in numbers)
    found: dict[str, float] = {"documents": documents, "bytes": size, "tokens": tokens, "words": words}
    if tokens:
        found["bytes_per_token"] = round(size / tokens, 6)
    if words:
        found["fertility"] = round(tokens / words, 6)
    return found


def _groups(documents: Iterable[SampleDocument]) -> Iterable[list[SampleDocument]]:
    group: list[SampleDocument] = []
    for document in documents:
        group.append(document)
        if len(group) == _GROUP:
            yield group
            group = []
    if group:
        yield group
