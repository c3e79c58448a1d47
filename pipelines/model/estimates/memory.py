"""Memory of a training and of generation, in bytes.

Model states of mixed-precision Adam: 2 weight + 2 gradient + 4 master + 4 + 4 moments = 16 bytes a parameter; all in
float32 it is 4 + 4 + 4 + 4, the same 16. ZeRO divides the 12 bytes of master weights and moments (stage 1), the
gradients too (2), the weights too (3). Our own loop runs in float32 without recomputation: `training_peak_bytes`.
"""

from typing import Final

from pipelines.model.config import ArchitectureConfig, TrainConfig
from pipelines.model.estimates.parameters import parameter_count

RUNTIME_BYTES: Final = 330 * 2**20
"""Resident size of a process that has imported PyTorch and our loop and has trained nothing; measured, CPU build."""


def zero_state_bytes(parameters: float, devices: int, stage: int) -> float:
    """Bytes of model states per device under ZeRO `stage` 0 to 3 (2 + 2 + 12 bytes a parameter)."""
    if stage not in (0, 1, 2, 3):
        raise ValueError(f"ZeRO stage {stage} is not 0, 1, 2 or 3")
    weights = 2 / devices if stage == 3 else 2
    gradients = 2 / devices if stage >= 2 else 2
    optimiser = 12 / devices if stage >= 1 else 12
    return parameters * (weights + gradients + optimiser)


def zero3_device_bytes(
    architecture: ArchitectureConfig, devices: int, batch: int, sequence_length: int, constant: float = 6 * 2**30
) -> float:
    """16P/N + 2LBTH (each layer's 16-bit input, the rest recomputed) + 12BTV (logits and softmax) + constant."""
    states = zero_state_bytes(parameter_count(architecture), devices, 3)
    positions = batch * sequence_length
    inputs = 2 * architecture.layers * positions * architecture.hidden
    return states + inputs + 12 * positions * architecture.vocab_size + constant


def activation_bytes_per_layer(
    sequence_length: int,
    batch: int,
    hidden: int,
    heads: int,
    *,
    tensor_parallel: int = 1,
    sequence_parallel: bool = False,
    keep_scores: bool = True,
) -> float:
    """16-bit activations of one GPT layer (Korthikanti et al. 2022).

    sbh(10 + 24/t + 5as/(ht)); sequence parallelism divides the 10 too; without kept scores the last term is gone.
    """
    sbh, t = sequence_length * batch * hidden, tensor_parallel
    scores = 5 * heads * sequence_length / (hidden * t) if keep_scores else 0.0
    return sbh * (10 / (t if sequence_parallel else 1) + 24 / t + scores)


def kv_cache_bytes(architecture: ArchitectureConfig, tokens: int, bytes_per_value: int = 2) -> int:
    """Keys and values of `tokens` positions: 2 * L * n_kv * d * bytes each."""
    width = architecture.key_value_heads * architecture.head_width
    return 2 * architecture.layers * width * bytes_per_value * tokens


def training_peak_bytes(architecture: ArchitectureConfig, train: TrainConfig) -> int:
    """Peak resident size of our loop on a CPU: states, one micro-batch's saved tensors, logits, the runtime.

    Saved per token and layer in float32: residual input, normed input, queries, keys, values before and after rotation,
    attention output, second residual, second normed input, gate, silu, up, their product. Logits live three times
    (logits, log-softmax, gradient).
    """
    inner = architecture.heads * architecture.head_width
    shared = architecture.key_value_heads * architecture.head_width
    per_layer = 5 * architecture.hidden + 3 * inner + 3 * shared + 4 * architecture.intermediate
    per_token = architecture.layers * per_layer + 3 * architecture.hidden + 3 * architecture.vocab_size
    tokens = train.micro_batch_sequences * train.sequence_length
    return 16 * parameter_count(architecture) + 4 * per_token * tokens + RUNTIME_BYTES


def checkpoint_bytes(architecture: ArchitectureConfig) -> int:
    """Size of one checkpoint: weights and two moments in float32 (headers and the loss curve are below 1 %)."""
    return 12 * parameter_count(architecture)
