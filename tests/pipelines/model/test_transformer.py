"""The transformer against transformers, and against what its definition promises."""

import math
from typing import Any

import pytest
import torch

from pipelines.model.estimates.parameters import parameter_count
from pipelines.model.objectives import token_losses
from pipelines.model.transformer import KeyValueCache, Transformer, build_model, rotary_angles, rotate
from tests.pipelines.model.tiny import architecture

VARIANTS: list[dict[str, Any]] = [
    {},
    {"kv_heads": 4, "tied_embeddings": False},
    {"kv_heads": 1, "attention_bias": "all", "mlp_bias": True},
    {"attention_bias": "qkv", "rope_theta": 1e6},
    {"qk_norm": True, "head_dim": 12, "tied_embeddings": False, "norm_eps": 1e-6},
    {"qk_norm": True, "attention_bias": "all"},
]


def ids(rows: int = 3, tokens: int = 20, vocab_size: int = 97) -> torch.Tensor:
    return torch.randint(vocab_size, (rows, tokens), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("fields", VARIANTS)
def test_closed_form_parameter_count_is_numel(fields: dict[str, Any]) -> None:
    config = architecture(**fields)
    assert sum(parameter.numel() for parameter in build_model(config, 0).parameters()) == parameter_count(config)


def test_llama_7b_has_the_published_number_of_parameters() -> None:
    config = architecture(
        32000, layers=32, hidden=4096, intermediate=11008, heads=32, kv_heads=32, tied_embeddings=False
    )
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Transformer(config).parameters()) == 6_738_415_616


@pytest.mark.parametrize("tied", [True, False])
def test_loss_of_a_fresh_model_is_the_log_of_the_vocabulary(tied: bool) -> None:
    model = build_model(architecture(8192, hidden=256, intermediate=512, tied_embeddings=tied), 3)
    tokens = ids(8, 33, 8192)
    with torch.no_grad():
        loss = token_losses(model(tokens[:, :-1]), tokens[:, 1:]).mean().item()
    assert loss == pytest.approx(math.log(8192), abs=0.1)


def test_initial_weights_follow_seed_and_name_only() -> None:
    one, again, other = (build_model(architecture(), seed) for seed in (1, 1, 2))
    deeper = build_model(architecture(layers=4), 1)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not torch.equal(one.output_weight, other.output_weight)
    assert torch.equal(one.model.layers[1].mlp.up_proj.weight, deeper.model.layers[1].mlp.up_proj.weight)
    wide = build_model(architecture(hidden=256, intermediate=512, layers=8), 1).model.layers[3]
    assert wide.mlp.up_proj.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert wide.mlp.down_proj.weight.std().item() == pytest.approx(0.02 / 4, rel=0.02)


def test_no_token_sees_a_later_one() -> None:
    model, tokens = build_model(architecture(), 0), ids()
    changed = tokens.clone()
    changed[:, 12:] = (changed[:, 12:] + 1) % 97
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    assert torch.allclose(before[:, :12], after[:, :12], atol=1e-6)
    assert not torch.allclose(before[:, 12:], after[:, 12:], atol=1e-3)


@pytest.mark.parametrize("fields", VARIANTS)
@pytest.mark.parametrize("cuts", [[1] * 20, [7, 1, 12], [20]])
def test_cache_changes_no_logit(fields: dict[str, Any], cuts: list[int]) -> None:
    model, tokens = build_model(architecture(init_std=0.2, **fields), 0), ids()
    cache = KeyValueCache(model.config, 3, 20, model.output_weight)
    with torch.no_grad():
        whole = model(tokens)
        pieces = torch.cat([model(piece, cache) for piece in tokens.split(cuts, 1)], 1)
    assert torch.allclose(whole, pieces, atol=2e-5)


def test_rotary_attention_depends_on_distance_only() -> None:
    vectors = torch.randn(1, 1, 2, 16, generator=torch.Generator().manual_seed(0))
    products = []
    for start in (0, 5, 300):
        cosine, sine = rotary_angles(torch.tensor([start, start + 9]), 16, 10_000.0)
        turned = rotate(vectors.transpose(1, 2), cosine, sine)[0, :, 0]
        products.append(torch.dot(turned[0], turned[1]).item())
    assert products == pytest.approx([products[0]] * 3, abs=1e-4)


def test_too_long_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="max_positions 64"):
        build_model(architecture(), 0)(ids(1, 65))
