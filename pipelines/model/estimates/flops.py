"""Floating-point operations of a training, and what share of a machine they are.

The rule of thumb is 6 * P * D: per parameter and token 2 operations forward and 4 backward. `flops_per_token` counts
the matrix products of our architecture instead (the embedding look-up is none, a tied output matrix is one) and adds
attention, 4 * n_h * d * T forward per token and layer, half of it when only the causal half is computed. At small
sizes the conventions differ by much, so every figure here names its own.
"""

from pipelines.model.config import ArchitectureConfig
from pipelines.model.estimates.parameters import block_matrix_parameters


def training_flops(parameters: float, tokens: float, *, recompute: bool = False) -> float:
    """6PD, or 8PD when every activation is computed a second time."""
    return (8 if recompute else 6) * parameters * tokens


def attention_flops_per_token(architecture: ArchitectureConfig, sequence_length: int, *, causal: bool) -> float:
    """Scores and mixing, forward: 4 * L * n_h * d * T, half when causal."""
    full = 4 * architecture.layers * architecture.heads * architecture.head_width * sequence_length
    return full / 2 if causal else float(full)


def flops_per_token(architecture: ArchitectureConfig, sequence_length: int, *, causal: bool = True) -> float:
    """Training operations for one token: three times the forward products, attention included."""
    matrices = (
        architecture.layers * block_matrix_parameters(architecture) + architecture.vocab_size * architecture.hidden
    )
    return 3 * (2 * matrices + attention_flops_per_token(architecture, sequence_length, causal=causal))


def model_flops_utilisation(flops_for_one_token: float, tokens_per_second: float, peak_flops: float) -> float:
    """Share of the machine's peak; `tokens_per_second` and `peak_flops` of the same set of devices."""
    return flops_for_one_token * tokens_per_second / peak_flops


def wall_seconds(flops: float, devices: int, peak_flops: float, utilisation: float) -> float:
    """Time of a training on `devices` of `peak_flops` each, used to the share `utilisation`."""
    return flops / (devices * peak_flops * utilisation)
