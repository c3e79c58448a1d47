"""Bits per byte on held-out documents.

In: held-out documents (`id, domain, text`), a tokenizer's encode, a model's log-probabilities.
Step 1: choose at most `max_documents` of each domain, by seed and id. Step 2: encode. Step 3: cut each document into
windows in which every token is scored once, the first after an end-of-text token. Step 4: sum per document.
Out: one row a document, `id, domain, bytes, tokens, nll` (nats). Bits per byte = sum(nll) / (sum(bytes) * ln 2): it
compares models whatever their tokenizers. Cost: one forward pass over the chosen tokens, a little more with a stride.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from pipelines.core.fingerprint import Algorithm
from pipelines.core.seeds import derive
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.scoring import Encode, LogProbs, Progress, Request, score_requests

PERPLEXITY: Final = Algorithm("evaluation/perplexity", 1)

DOCUMENT_SCORES: Final = pa.schema(
    [
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("domain", pa.large_string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("nll", pa.float64()),
    ]
)
"""`bytes` of the UTF-8 text, scored `tokens`, `nll` in nats; `nll` is null where the model gave no finite value."""


def rolling_windows(tokens: Sequence[int], prefix: int, window: int, stride: int) -> Iterator[Request]:
    """Requests that score every token once, with at most `window` inputs each.

    The first window is (prefix, tokens) from the start. Each later one scores the next `stride` tokens and fills the
    rest of its inputs with what came before: at `stride == window` a full window has one token of context, and the
    last, shorter one has `window - scored + 1`. These are the rolling windows of lm-eval with
    `context_len = window - stride + 1`.
    """
    stream = np.concatenate([[prefix], np.asarray(tokens, np.int64)]).astype(np.int64)
    count = len(stream) - 1
    done = min(window, count)
    if done:
        yield Request(stream[:done], stream[1 : done + 1])
    while done < count:
        end = min(done + stride, count)
        yield Request(stream[end - window : end], stream[done + 1 : end + 1])
        done = end


def choose_documents(documents: pa.Table, max_documents: int | None, seed: int) -> pa.Table:
    """At most `max_documents` rows of each domain, in order of (domain, id).

    The rows with the lowest seeded hash of their id: one more document in a domain replaces at most one of the chosen.
    """
    ids, domains = documents["id"].to_pylist(), documents["domain"].to_pylist()
    by_domain: dict[str, list[int]] = defaultdict(list)
    for row, domain in enumerate(domains):
        by_domain[domain].append(row)
    chosen: list[int] = []
    for domain in sorted(by_domain):
        rows = by_domain[domain]
        if max_documents is not None and len(rows) > max_documents:
            rows = heapq.nsmallest(max_documents, rows, key=lambda row: (derive(seed, "held-out", ids[row].hex()), row))
        chosen += sorted(rows, key=lambda row: ids[row])
    return documents.take(pa.array(chosen, pa.int64()))


def score_documents(
    documents: pa.Table,
    encode: Encode,
    log_probs: LogProbs,
    end_of_text: int,
    context_length: int,
    config: EvaluationConfig,
    progress: Progress | None = None,
) -> pa.Table:
    """`DOCUMENT_SCORES` of the chosen documents, in order of (domain, id).

    `documents` has `id` binary(16), `domain` and `text`; `context_length` is the most tokens that the model takes.
    """
    window, stride = config.window_and_stride(context_length)
    documents = choose_documents(documents.select(["id", "domain", "text"]), config.max_documents, config.seed)
    texts: list[str] = documents["text"].to_pylist()
    requests: list[Request] = []
    owners: list[int] = []
    tokens: list[int] = []
    for row, encoded in enumerate(encode(texts) if texts else []):
        windows = list(rolling_windows(encoded, end_of_text, window, stride))
        requests += windows
        owners += [row] * len(windows)
        tokens.append(len(encoded))
    sums = score_requests(log_probs, requests, config.batch_tokens, progress)
    nll = -np.bincount(np.array(owners, np.int64), weights=sums, minlength=len(texts)) + 0.0
    return pa.table(
        {
            "id": documents["id"],
            "domain": documents["domain"].cast(pa.large_string()),
            "bytes": pa.array([len(text.encode()) for text in texts], pa.int64()),
            "tokens": pa.array(tokens, pa.int64()),
            "nll": pa.array(nll, pa.float64(), mask=~np.isfinite(nll)),
        },
        schema=DOCUMENT_SCORES,
    )
