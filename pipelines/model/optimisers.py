"""AdamW over named parameters, with its state as named tensors.

theta <- theta - lr * (m_hat / (sqrt(v_hat) + eps) + wd * theta), m_hat and v_hat bias-corrected (Loshchilov & Hutter).
Norm gains and biases (every parameter of one dimension) never decay, embeddings only by request. PyTorch's fused CPU
kernel does it: 2.4 ms for 3.3 M parameters on two cores, against 9.3 ms one tensor at a time and 17 ms by `foreach`.
"""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from pipelines.model.config import OptimiserConfig

MOMENTS: Final = ("exp_avg", "exp_avg_sq")


def decays(name: str, parameter: Tensor, config: OptimiserConfig) -> bool:
    """Whether weight decay applies to this parameter."""
    if parameter.ndim < 2:
        return False
    return config.decay_embeddings or not name.endswith(("embed_tokens.weight", "lm_head.weight"))


def build_optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW over the model's trainable parameters in two groups, with decay and without."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[decays(name, parameter, config)].append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": config.weight_decay if decaying else 0.0}
            for decaying, parameters in groups.items()
            if parameters
        ],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = learning_rate


def optimiser_tensors(optimiser: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The state by name: `exp_avg.<parameter>`, `exp_avg_sq.<parameter>`, `step.<parameter>`; empty before step one."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        state = optimiser.state.get(parameter)
        if state:
            for key in (*MOMENTS, "step"):
                tensors[f"{key}.{name}"] = state[key]
    return tensors


def load_optimiser_tensors(optimiser: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put a saved state back. Raises `ValueError` if it belongs to other parameters."""
    expected = {
        f"{key}.{name}" for name, p in model.named_parameters() if p.requires_grad for key in (*MOMENTS, "step")
    }
    if tensors and set(tensors) != expected:
        odd = sorted(set(tensors) ^ expected)[:3]
        raise ValueError(f"the optimiser state is not of this model: {', '.join(odd)} on one side only")
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or not tensors:
            continue
        for key in MOMENTS:
            if tensors[f"{key}.{name}"].shape != parameter.shape:
                raise ValueError(f"optimiser state {key}.{name} has another shape than the parameter")
        optimiser.state[parameter] = {key: tensors[f"{key}.{name}"].clone() for key in (*MOMENTS, "step")}
