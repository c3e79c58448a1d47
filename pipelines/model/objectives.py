"""What a training minimizes: an objective is a function of a model and a batch, as sums, with the batch's weight.

The loop adds the sums over all micro-batches and divides once by the whole batch's weight, so cutting a batch into
micro-batches changes nothing but rounding, however the masked tokens fall (a mean of means would).
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

IGNORED: Final = -100
"""A target that carries no loss (padding, prompts), as in PyTorch and transformers."""

Batch = Sequence[NDArray[np.int64]]
"""Arrays with one row a sequence; for language modelling `(inputs, targets)`, both `[rows, tokens]`."""


class LossSums(NamedTuple):
    """`optimised` has the gradient; `recorded` is what the loss curve shows, a float64 scalar. Both are sums."""

    optimised: Tensor
    recorded: Tensor


class Objective(Protocol):
    """A training objective."""

    def sums(self, model: Callable[..., Tensor], batch: Sequence[Tensor]) -> LossSums:
        """The loss summed over a micro-batch."""

    def weight(self, batch: Batch) -> float:
        """What the sums of a batch are divided by: its tokens with loss, its pairs."""


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of each target in nats, float32 `[rows, tokens]`, 0 where ignored."""
    flat = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
    return flat.view(targets.shape)


class CausalLanguageModelling:
    """Next-token cross-entropy, plus `z_loss` * log(Z)^2 per token, which is not recorded in the loss curve."""

    def __init__(self, z_loss: float = 0.0) -> None:
        self.z_loss = z_loss

    def sums(self, model: Callable[..., Tensor], batch: Sequence[Tensor]) -> LossSums:
        inputs, targets = batch
        logits = model(inputs)
        recorded = token_losses(logits, targets).sum(dtype=torch.float64)
        if not self.z_loss:
            return LossSums(recorded, recorded.detach())
        log_partition = logits.float().logsumexp(-1)
        penalty = (log_partition.square() * (targets != IGNORED)).sum(dtype=torch.float64)
        return LossSums(recorded + self.z_loss * penalty, recorded.detach())

    def weight(self, batch: Batch) -> float:
        return float(np.count_nonzero(batch[1] != IGNORED))


def loss_of(model: nn.Module, objective: Objective, batch: Batch) -> float:
    """The mean loss of one batch, without gradients."""
    with torch.no_grad():
        sums = objective.sums(model, [torch.from_numpy(array) for array in batch])
    return float(sums.recorded) / objective.weight(batch)
