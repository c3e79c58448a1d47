"""Log-likelihood of token spans under any model, in length-sorted padded batches.

In: requests, each an input sequence and the targets of its last positions; a callable that gives log-probabilities.
Steps: sort by length, cut into batches of at most `batch_tokens` padded tokens, pad on the right (a causal model never
looks there), mask what is not scored, sum in float64. Out: one sum per request, in the order of the requests, NaN
where the model gave none. The chapter knows the model only as this callable, so it imports no torch.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

Encode = Callable[[Sequence[str]], Sequence[Sequence[int]]]
"""Texts to token ids, one sequence a text, with no special token added."""

Progress = Callable[[int, int], None]
"""Called with (tokens scored so far, tokens in all) after each batch."""


class LogProbs(Protocol):
    """A causal language model: log p(targets[b, t] | input_ids[b, :t + 1]), natural logarithm.

    All three arguments are [batch, length]; the result is float32 or float64 of that shape. Values where `mask` is
    false are ignored, so a model may leave them at zero.
    """

    def __call__(self, input_ids: IntArray, targets: IntArray, mask: BoolArray) -> npt.NDArray[np.floating[Any]]: ...


class Request(NamedTuple):
    """`targets[-k]` is predicted by `inputs[: len(inputs) - k + 1]`: targets align with the end of the inputs."""

    inputs: IntArray
    targets: IntArray


def score_requests(
    log_probs: LogProbs, requests: Sequence[Request], batch_tokens: int, progress: Progress | None = None
) -> FloatArray:
    """Sum of log-probabilities (nats) of every request's targets, float64 [len(requests)].

    Equal requests are scored once, so equal texts tie exactly. A request without targets scores 0.
    """
    unique, inverse = _unique(requests)
    sums = np.zeros(len(unique), np.float64)
    lengths = np.array([len(request.inputs) for request in unique], np.int64)
    order = np.argsort(-lengths, kind="stable")
    total, done, start = int(lengths.sum()), 0, 0
    while start < len(order):
        width = max(1, int(lengths[order[start]]))
        chosen = order[start : start + max(1, batch_tokens // width)]
        sums[chosen] = _score_batch(log_probs, [unique[index] for index in chosen], width)
        start += len(chosen)
        done += int(lengths[chosen].sum())
        if progress is not None:
            progress(done, total)
    return sums[inverse]


def _unique(requests: Sequence[Request]) -> tuple[list[Request], IntArray]:
    seen: dict[tuple[bytes, bytes], int] = {}
    unique: list[Request] = []
    inverse = np.zeros(len(requests), np.int64)
    for index, request in enumerate(requests):
        if len(request.targets) > len(request.inputs):
            raise ValueError(f"request {index} has {len(request.targets)} targets for {len(request.inputs)} inputs")
        key = (request.inputs.tobytes(), request.targets.tobytes())
        if key not in seen:
            seen[key] = len(unique)
            unique.append(request)
        inverse[index] = seen[key]
    return unique, inverse


def _score_batch(log_probs: LogProbs, batch: Sequence[Request], width: int) -> FloatArray:
    shape = (len(batch), width)
    inputs, targets, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    for row, request in enumerate(batch):
        end = len(request.inputs)
        inputs[row, :end] = request.inputs
        targets[row, end - len(request.targets) : end] = request.targets
        mask[row, end - len(request.targets) : end] = True
    if not mask.any():
        return np.zeros(len(batch), np.float64)
    values = np.asarray(log_probs(inputs, targets, mask))
    if values.shape != shape:
        raise ValueError(f"the model gave log-probabilities of shape {values.shape} for inputs of shape {shape}")
    sums: FloatArray = np.where(mask, values, 0).sum(axis=1, dtype=np.float64)
    return np.where(np.isfinite(sums), sums, np.nan)
