"""AdamW against its definition, and its groups and state by name."""

import numpy as np
import pytest
import torch

from pipelines.model.config import OptimiserConfig
from pipelines.model.optimisers import build_optimiser, load_optimiser_tensors, optimiser_tensors, set_learning_rate
from pipelines.model.transformer import build_model
from tests.pipelines.model.tiny import architecture

CONFIG = OptimiserConfig(learning_rate=0.01, weight_decay=0.1)


def test_three_updates_equal_the_formula_in_float64() -> None:
    model = build_model(architecture(tied_embeddings=False), 0)
    optimiser = build_optimiser(model, CONFIG)
    names = {
        "model.layers.0.mlp.up_proj.weight": 0.1,
        "model.layers.0.input_layernorm.weight": 0.0,
        "model.embed_tokens.weight": 0.0,
        "lm_head.weight": 0.0,
    }
    expected = {name: dict(model.named_parameters())[name].detach().double().numpy().copy() for name in names}
    first = {name: np.zeros_like(value) for name, value in expected.items()}
    second = {name: np.zeros_like(value) for name, value in expected.items()}
    generator = torch.Generator().manual_seed(0)
    for step, rate in enumerate((0.01, 0.02, 0.005), start=1):
        for name, parameter in model.named_parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
            if name in names:
                g = parameter.grad.double().numpy()
                first[name] = 0.9 * first[name] + 0.1 * g
                second[name] = 0.95 * second[name] + 0.05 * g * g
                mean, root = first[name] / (1 - 0.9**step), np.sqrt(second[name] / (1 - 0.95**step))
                expected[name] -= rate * (mean / (root + 1e-8) + names[name] * expected[name])
        set_learning_rate(optimiser, rate)
        optimiser.step()
    for name, value in expected.items():
        np.testing.assert_allclose(dict(model.named_parameters())[name].detach().numpy(), value, atol=2e-6)


def test_embeddings_decay_by_request_and_vectors_never() -> None:
    model = build_model(architecture(qk_norm=True, attention_bias="all"), 0)
    named = dict(model.named_parameters())
    for decay_embeddings in (False, True):
        optimiser = build_optimiser(model, CONFIG.model_copy(update={"decay_embeddings": decay_embeddings}))
        groups = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
        assert len(groups) == len(named)
        assert groups[id(named["model.embed_tokens.weight"])] == (0.1 if decay_embeddings else 0.0)
        assert all(groups[id(p)] == 0.0 for p in named.values() if p.ndim == 1)
        assert groups[id(named["model.layers.1.self_attn.o_proj.weight"])] == 0.1


def test_a_state_of_another_model_is_refused() -> None:
    model, other = build_model(architecture(), 0), build_model(architecture(layers=3), 0)
    optimiser = build_optimiser(other, CONFIG)
    assert optimiser_tensors(optimiser, other) == {}
    for parameter in other.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    with pytest.raises(ValueError, match=r"layers\.2"):
        load_optimiser_tensors(build_optimiser(model, CONFIG), model, optimiser_tensors(optimiser, other))
