"""Generation: cache on equals cache off, the limits of sampling are greedy, the filters are their definitions."""

import numpy as np
import pytest
import torch

from pipelines.model.generate import filter_logits, generate
from pipelines.model.transformer import Transformer, build_model
from tests.pipelines.model.tiny import architecture


@pytest.fixture(scope="module")
def model() -> Transformer:
    return build_model(architecture(init_std=0.3, qk_norm=True), 2)


PROMPT = np.array([[5, 17, 80], [1, 2, 3]], np.int64)


@pytest.mark.parametrize("options", [{}, {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "seed": 4}])
def test_cache_on_equals_cache_off(model: Transformer, options: dict[str, float]) -> None:
    with_cache = generate(model, PROMPT, 40, **options)
    assert with_cache.shape == (2, 43)
    assert (with_cache == generate(model, PROMPT, 40, use_cache=False, **options)).all()


def test_limits_of_sampling_are_greedy(model: Transformer) -> None:
    greedy = generate(model, PROMPT, 20)
    for options in ({"temperature": 1.0, "top_k": 1}, {"temperature": 1e-4}, {"temperature": 1.0, "top_p": 1e-9}):
        assert (generate(model, PROMPT, 20, **options) == greedy).all()
    assert not (generate(model, PROMPT, 20, temperature=1.5) == greedy).all()


def test_seeds_decide_samples(model: Transformer) -> None:
    one, again, other = (generate(model, PROMPT, 20, temperature=1.0, seed=seed) for seed in (1, 1, 2))
    assert (one == again).all()
    assert not (one == other).all()


def test_filters_are_their_definitions() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.4, 0.2, 0.25, 0.05]]))

    def kept(**options: float) -> list[int]:
        return (
            torch.isfinite(filter_logits(logits, 1.0, options.get("k"), options.get("p")))[0].nonzero()[:, 0].tolist()
        )

    assert kept(k=2) == [1, 3]
    assert kept(p=0.39) == [1]
    assert kept(p=0.5) == [1, 3]
    assert kept(p=0.9) == [0, 1, 2, 3]
    assert kept(k=3, p=0.7) == [1, 3]
    assert kept(p=1.0) == [0, 1, 2, 3, 4]
    assert torch.allclose(filter_logits(logits, 2.0, None, None), logits / 2)


def test_filters_agree_with_transformers() -> None:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = torch.randn(5, 97, generator=torch.Generator().manual_seed(0)) * 3
    expected = logits
    for warper in (TemperatureLogitsWarper(0.7), TopKLogitsWarper(12), TopPLogitsWarper(0.8)):
        expected = warper(torch.zeros(5, 1, dtype=torch.long), expected)
    assert torch.allclose(filter_logits(logits, 0.7, 12, 0.8), expected)


def test_ends_at_end_of_text_at_the_count_and_at_the_models_length(model: Transformer) -> None:
    free = generate(model, PROMPT, 30)
    end = int(free[0, 8])
    ended = generate(model, PROMPT, 30, eos_token_id=end)
    first = int(np.argmax(free[0, 3:] == end)) + 3
    assert (ended[0, : first + 1] == free[0, : first + 1]).all()
    assert (ended[0, first:] == end).all()
    assert generate(model, PROMPT, 1000).shape == (2, 64)
    assert generate(model, [4, 5], 0).tolist() == [[4, 5]]


@pytest.mark.parametrize("prompt", [[], [[]], [97], [-1], [[[1]]]])
def test_prompts_outside_the_model_are_refused(model: Transformer, prompt: list[int]) -> None:
    with pytest.raises(ValueError, match="prompt"):
        generate(model, prompt, 1)


@pytest.mark.parametrize("options", [{"temperature": -1.0}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_settings_outside_their_range_are_refused(model: Transformer, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="temperature is at least 0"):
        generate(model, [1], 1, **options)
