"""Parameter counts of published models. [Counts of the checkpoints themselves]"""

import pytest

from pipelines.model.config import ArchitectureConfig
from pipelines.model.estimates.parameters import (
    embedding_parameters,
    lora_parameters,
    non_embedding_parameters,
    parameter_count,
)


def model(
    vocab: int, layers: int, hidden: int, intermediate: int, heads: int, kv: int, **rest: object
) -> ArchitectureConfig:
    fields = {"tied_embeddings": False} | rest
    return ArchitectureConfig(
        vocab_size=vocab, layers=layers, hidden=hidden, intermediate=intermediate, heads=heads, kv_heads=kv, **fields
    )


@pytest.mark.parametrize(
    ("architecture", "published"),
    [
        (model(32000, 32, 4096, 11008, 32, 32), 6_738_415_616),
        (model(32000, 40, 5120, 13824, 40, 40), 13_015_864_320),
        (model(32000, 60, 6656, 17920, 52, 52), 32_528_943_616),
        (model(32000, 80, 8192, 22016, 64, 64), 65_285_660_672),
        (model(128256, 32, 4096, 14336, 32, 8), 8_030_261_248),
        (model(32000, 80, 8192, 28672, 64, 8), 68_976_648_192),
        (model(32000, 32, 4096, 14336, 32, 8), 7_241_732_096),
        (model(32000, 22, 2048, 5632, 32, 4), 1_100_048_384),
        (model(65536, 52, 4608, 12288, 36, 36), 13_854_269_952),
        (model(151936, 24, 896, 4864, 14, 2, attention_bias="qkv", tied_embeddings=True), 494_032_768),
        (model(151936, 28, 1024, 3072, 16, 8, head_dim=128, qk_norm=True, tied_embeddings=True), 596_049_920),
    ],
    ids=["llama-7b", "13b", "33b", "65b", "llama3-8b", "llama2-70b", "mistral", "tiny", "skywork", "qwen2", "qwen3"],
)
def test_published_counts(architecture: ArchitectureConfig, published: int) -> None:
    assert parameter_count(architecture) == published


def test_yulan_mini_tied_untied_and_without_embeddings() -> None:
    untied = model(99000, 56, 1920, 4800, 30, 6, head_dim=64, attention_bias="qkv")
    tied = untied.model_copy(update={"tied_embeddings": True})
    assert parameter_count(untied) == 2_424_267_648
    assert parameter_count(tied) == 2_234_187_648
    assert non_embedding_parameters(tied) == non_embedding_parameters(untied) == 2_044_107_648
    assert embedding_parameters(untied) == 2 * 99000 * 1920


def test_lora_on_two_matrices_of_llama_7b() -> None:
    """4LHR for keys and values, rank 16; 8LHR wants all four projections."""
    assert lora_parameters(16, [(4096, 4096)] * 2 * 32) == 4 * 32 * 4096 * 16 == 8_388_608
