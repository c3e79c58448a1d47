"""Multiple choice by log-likelihood: which continuation does the model find most likely?

In: items (`evaluation/items.py`), a tokenizer's encode, a model's log-probabilities. Step 1: join context, delimiter
and continuation. Step 2: encode the whole and the context, and cut the whole at the context's length; a context too
long for the window loses its left end. Step 3: sum log p over the continuation's tokens. Step 4: pick the best choice
by sum (acc), by sum per character (acc_norm) and per UTF-8 byte (acc_bytes), as lm-eval does.
Out: one row an item. Cost: one forward pass over context and continuation for each distinct choice.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.core.fingerprint import Algorithm, digest_json
from pipelines.evaluation.config import EvaluationConfig, TaskConfig
from pipelines.evaluation.items import Item
from pipelines.evaluation.scoring import Encode, FloatArray, LogProbs, Progress, Request, score_requests

MULTIPLE_CHOICE: Final = Algorithm("evaluation/multiple_choice", 1)

ITEM_SCORES: Final = pa.schema(
    [
        pa.field("task", pa.large_string(), nullable=False),
        pa.field("item", pa.large_string(), nullable=False),
        pa.field("group", pa.large_string()),
        pa.field("gold", pa.int32(), nullable=False),
        pa.field("picked", pa.int32()),
        pa.field("picked_norm", pa.int32()),
        pa.field("acc", pa.float64()),
        pa.field("acc_norm", pa.float64()),
        pa.field("acc_bytes", pa.float64()),
        pa.field("tied", pa.bool_(), nullable=False),
        pa.field("truncated", pa.int32(), nullable=False),
        pa.field("log_likelihoods", pa.large_list(pa.float64()), nullable=False),
    ]
)
"""`log_likelihoods` in nats, one a choice; `truncated` tokens cut from the longest context. `acc` is 0 or 1, or 1/k
where the gold choice shares the best score with k - 1 others; null, like `picked`, without finite log-likelihoods."""


def encode_pairs(
    pairs: Sequence[tuple[str, str]], encode: Encode, start: int, prefix: bool
) -> list[tuple[npt.NDArray[np.int64], int]]:
    """For each (context, continuation) the tokens of both and the number of leading ones that are context.

    White space at the end of the context moves to the continuation, where byte-level tokenizers put it. The whole is
    encoded once and cut at the length of the encoded context; where a token crosses the border, the continuation
    begins after it but keeps at least one token. A context without tokens, or `prefix`, begins with `start`.
    """
    stripped = [context.rstrip() for context, _ in pairs]
    wholes = encode([context + continuation for context, continuation in pairs]) if pairs else []
    distinct = {context: index for index, context in enumerate(dict.fromkeys(stripped))}
    contexts = encode(list(distinct)) if distinct else []
    result = []
    for (context, continuation), bare, whole in zip(pairs, stripped, wholes, strict=True):
        if not whole:
            raise ValueError(f"the tokenizer gives no token for {(context + continuation)[:80]!r}")
        border = min(len(contexts[distinct[bare]]), len(whole) - 1)
        tokens = np.asarray(whole, np.int64)
        if prefix or border == 0:
            tokens, border = np.concatenate([np.array([start], np.int64), tokens]), border + 1
        result.append((tokens, border))
    return result


def score_items(
    task: TaskConfig,
    items: Sequence[Item],
    encode: Encode,
    log_probs: LogProbs,
    end_of_text: int,
    context_length: int,
    config: EvaluationConfig,
    progress: Progress | None = None,
) -> pa.Table:
    """`ITEM_SCORES` of the items, in their order."""
    window, _ = config.window_and_stride(context_length)
    requests: list[Request] = []
    truncated: list[int] = []
    for tokens, border in encode_pairs(rendered(task, items), encode, end_of_text, config.context_prefix != "none"):
        shown = tokens[-(window + 1) :]
        scored = min(len(tokens) - border, len(shown) - 1)
        requests.append(Request(shown[:-1], shown[len(shown) - scored :]))
        truncated.append(len(tokens) - len(shown))
    sums = score_requests(log_probs, requests, config.batch_tokens, progress)
    rows, start = [], 0
    for item in items:
        end = start + len(item.choices)
        rows.append(_row(task.name, item, sums[start:end], max(truncated[start:end])))
        start = end
    return pa.Table.from_pylist(rows, schema=ITEM_SCORES)


def rendered(task: TaskConfig, items: Sequence[Item]) -> list[tuple[str, str]]:
    """(context, delimiter + continuation) of every choice of every item: exactly what the model is asked."""
    return [
        (context, task.delimiter + continuation)
        for item in items
        for context, continuation in zip(item.contexts, item.continuations, strict=True)
    ]


def prompt_digest(task: TaskConfig, items: Sequence[Item]) -> str:
    """SHA-256 of what the model is asked and which answers count: equal digests mean comparable scores."""
    return digest_json([rendered(task, items), [item.gold for item in items]])


def _row(task: str, item: Item, sums: FloatArray, truncated: int) -> dict[str, object]:
    characters = np.array([len(choice) for choice in item.choices], np.float64)
    sizes = np.array([len(choice.encode()) for choice in item.choices], np.float64)
    finite = bool(np.isfinite(sums).all())
    row: dict[str, object] = {
        "task": task,
        "item": item.id,
        "group": item.group,
        "gold": item.gold,
        "tied": finite and int((sums == sums.max()).sum()) > 1,
        "truncated": truncated,
        "log_likelihoods": [float(value) if np.isfinite(value) else None for value in sums],
    }
    if finite:
        row |= {
            "picked": int(sums.argmax()),
            "picked_norm": int((sums / characters).argmax()),
            "acc": credit(sums, item.gold),
            "acc_norm": credit(sums / characters, item.gold),
            "acc_bytes": credit(sums / sizes, item.gold),
        }
    return row


def credit(scores: FloatArray, gold: int) -> float:
    """1 where gold alone is best, 1/k where k choices share the best score and gold is one of them, else 0.

    Without ties it is lm-eval's `argmax == gold`; with ties that rule would favour the choice that is listed first.
    """
    best = scores == scores.max()
    return float(best[gold] / best.sum())
