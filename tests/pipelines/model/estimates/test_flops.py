"""Operation counts and utilisations of published runs."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipelines.model.estimates.flops import (
    attention_flops_per_token,
    flops_per_token,
    model_flops_utilisation,
    training_flops,
    wall_seconds,
)
from pipelines.model.estimates.parameters import parameter_count
from pipelines.model.transformer import build_model
from tests.pipelines.model.estimates.test_parameters import model
from tests.pipelines.model.tiny import architecture


@pytest.mark.parametrize(
    ("parameters", "tokens", "published"),
    [
        (412e6, 8.2e9, 2.0e19),
        (1.4e9, 28e9, 2.4e20),
        (2.8e9, 55.9e9, 9.4e20),
        (6.9e9, 138e9, 5.7e21),
        (6.9e9, 276e9, 1.1e22),
    ],
)
def test_scales_of_dclm(parameters: float, tokens: float, published: float) -> None:
    assert training_flops(parameters, tokens) == pytest.approx(published, rel=0.05)


def test_gpt3_and_recomputation() -> None:
    assert training_flops(174.6e9, 300e9) == pytest.approx(3.143e23, rel=1e-3)
    assert training_flops(1e9, 1e9, recompute=True) == 8e18


def test_yulan_mini_utilisation() -> None:
    """The report counts full attention, undivided key heads, and the attention products of one more forward pass."""
    config = model(99000, 56, 1920, 4800, 30, 30, head_dim=64)
    per_token = flops_per_token(config, 4096, causal=False) + attention_flops_per_token(config, 4096, causal=False)
    assert model_flops_utilisation(per_token, 7174.01, 312e12) == pytest.approx(0.51577, abs=1e-5)


def test_skywork_utilisation() -> None:
    config = model(65536, 52, 4608, 12288, 36, 36)
    share = model_flops_utilisation(flops_per_token(config, 4096, causal=False), 1873, 312e12)
    assert share == pytest.approx(0.559, abs=1e-3)


def test_llama_65b_took_21_days() -> None:
    flops = training_flops(parameter_count(model(32000, 80, 8192, 22016, 64, 64)), 1.4e12)
    share = flops / 1.4e12 * 380 / 312e12
    assert share == pytest.approx(0.477, abs=1e-3)
    assert wall_seconds(flops, 2048, 312e12, share) / 86400 == pytest.approx(20.8, abs=0.05)


@pytest.mark.parametrize("tied", [True, False])
def test_the_matrix_products_are_those_that_pytorch_counts(tied: bool) -> None:
    config = architecture(tied_embeddings=tied)
    network = build_model(config, 0)
    ids = torch.zeros((2, 32), dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        network(ids).sum().backward()
    counted = counter.get_flop_counts()["Global"]
    products = sum(flops for operation, flops in counted.items() if "attention" not in str(operation))
    attention = attention_flops_per_token(config, 32, causal=False)
    assert products == 64 * (flops_per_token(config, 32, causal=False) - 3 * attention)
