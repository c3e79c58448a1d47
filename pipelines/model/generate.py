"""Continuations of token ids: greedy or sampled, with a key-value cache.

The cache changes no result, only the work: with it a new token costs one position, without it the whole prefix.
Sampling in the usual order: temperature, top-k, top-p (the token that crosses p stays in). Temperature 0 is greedy.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.model.transformer import KeyValueCache, Transformer


def filter_logits(logits: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
    """Logits `[rows, vocabulary]` with the tokens that may not be drawn at minus infinity."""
    logits = logits / temperature
    if top_k is not None:
        kth = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p is not None:
        ordered, order = logits.sort(descending=True, stable=True)
        probabilities = ordered.softmax(-1)
        before = probabilities.cumsum(-1) - probabilities
        outside = torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, order, before >= top_p)
        logits = logits.masked_fill(outside, -torch.inf)
    return logits


def _checked(ids: Any, model: Transformer) -> Tensor:
    prompt = torch.as_tensor(np.asarray(ids), dtype=torch.long)
    if prompt.ndim == 1:
        prompt = prompt[None]
    if prompt.ndim != 2 or prompt.numel() == 0:
        raise ValueError(f"a prompt is [rows, tokens] with at least one token, not {tuple(prompt.shape)}")
    if int(prompt.max()) >= model.config.vocab_size or int(prompt.min()) < 0:
        raise ValueError(f"the prompt has token ids outside the vocabulary of {model.config.vocab_size}")
    return prompt


@torch.inference_mode()
def generate(
    model: Transformer,
    ids: Sequence[int] | Sequence[Sequence[int]] | NDArray[np.int64],
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    eos_token_id: int | None = None,
    seed: int = 0,
    use_cache: bool = True,
) -> NDArray[np.int64]:
    """Prompt and continuation `[rows, tokens + new]`; prompts of one call have one length.

    A row that produced `eos_token_id` repeats it until all rows have; generation ends there, after `max_new_tokens`, or
    at the model's `max_positions`.
    """
    if temperature < 0 or (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
        raise ValueError("temperature is at least 0, top_k at least 1, top_p in (0, 1]")
    sequence = _checked(ids, model)
    rows, start = sequence.shape
    total = min(start + max_new_tokens, model.config.max_positions)
    cache = KeyValueCache(model.config, rows, total, model.output_weight) if use_cache else None
    generator = torch.Generator().manual_seed(seed)
    ended = torch.zeros(rows, dtype=torch.bool)
    model.eval()
    while sequence.shape[1] < total and not bool(ended.all()):
        fresh = sequence if cache is None else sequence[:, cache.length :]
        logits = torch.nn.functional.linear(model.hidden(fresh, cache)[:, -1], model.output_weight).float()
        if temperature == 0:
            chosen = logits.argmax(-1)
        else:
            probabilities = filter_logits(logits, temperature, top_k, top_p).softmax(-1)
            chosen = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        if eos_token_id is not None:
            chosen = torch.where(ended, torch.full_like(chosen, eos_token_id), chosen)
            ended |= chosen == eos_token_id
        sequence = torch.cat((sequence, chosen[:, None]), 1)
    return sequence.numpy()
