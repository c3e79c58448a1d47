"""A torch module as the chapter's `LogProbs` callable, and a tokenizer's encoder as its `Encode`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipelines.evaluation.scoring import BoolArray, Encode, IntArray, LogProbs

if TYPE_CHECKING:
    from torch import nn

    from pipelines.tokens.tokenizer.encode import Encoder


def torch_log_probs(model: "nn.Module", device: str = "cpu") -> LogProbs:
    """Log-probabilities by `model(input_ids) -> logits [B, T, V]` (or an object with `.logits`), in float32.

    The module is put into evaluation mode. Only scored positions reach the softmax, one row at a time, so beside the
    logits themselves the extra memory is T * V * 4 bytes.
    """
    import torch

    model.eval()

    def log_probs(input_ids: IntArray, targets: IntArray, mask: BoolArray) -> npt.NDArray[np.floating[Any]]:
        result = np.zeros(input_ids.shape, np.float32)
        with torch.inference_mode():
            output = model(torch.from_numpy(input_ids).to(device))
            logits = output if isinstance(output, torch.Tensor) else output.logits
            wanted = torch.from_numpy(targets).to(device)
            scored = torch.from_numpy(mask).to(device)
            for row in range(len(result)):
                picked = logits[row, scored[row]].float()
                values = picked.gather(1, wanted[row, scored[row]].unsqueeze(1)).squeeze(1) - picked.logsumexp(1)
                result[row, mask[row]] = values.cpu().numpy()
        return result

    return log_probs


def text_encoder(encoder: "Encoder") -> Encode:
    """Many texts at once by the rules that made the token arrays, without the end-of-text after each."""

    def encode(texts: Sequence[str]) -> list[list[int]]:
        tokens, lengths = encoder.encode_documents(texts)
        ends = np.cumsum(lengths)
        return [tokens[end - length : end - 1].tolist() for end, length in zip(ends, lengths, strict=True)]

    return encode
