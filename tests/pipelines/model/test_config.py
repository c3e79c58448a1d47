"""The model chapter's configuration: identity, consistency, no heavy import."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from pipelines.model.config import ScheduleConfig, ShapeConfig, TrainConfig


def test_importing_the_configuration_leaves_torch_out() -> None:
    code = "import sys, pipelines.model.config, pipelines.model.estimates.cost; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_changes_a_bit_is_identity_and_checkpoint_policy_is_not() -> None:
    identity = TrainConfig(steps=10).identity()
    assert {"threads", "dtype", "world_size", "kernel_mode", "micro_batch_sequences", "seed"} <= set(identity)
    assert TrainConfig(steps=10, checkpoint_every=7, keep=9).identity() == identity
    assert TrainConfig(steps=10, threads=1).identity() != identity


def test_length_is_steps_or_tokens() -> None:
    config = TrainConfig(sequence_length=128, batch_sequences=4, micro_batch_sequences=2, tokens=10_000)
    assert (config.tokens_per_step, config.total_steps, config.total_tokens) == (512, 19, 9728)
    for wrong in ({}, {"steps": 3, "tokens": 10_000}, {"tokens": 100}):
        with pytest.raises(ValidationError, match="tokens"):
            TrainConfig(**wrong)
    with pytest.raises(ValidationError, match="micro_batch_sequences"):
        TrainConfig(steps=1, batch_sequences=6, micro_batch_sequences=4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden": 30, "heads": 4}, "not a multiple of heads"),
        ({"heads": 4, "kv_heads": 3}, "kv_heads"),
        ({"hidden": 20, "heads": 4}, "odd"),
        ({"qk_norm": True, "mlp_bias": True}, "qk_norm"),
        ({"attention_bias": "qkv", "head_dim": 32}, "Qwen 2"),
        ({"hidden": 30, "heads": 4, "head_dim": 8}, "transformers refuses"),
    ],
)
def test_shapes_that_no_public_class_computes_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ShapeConfig(**fields)


def test_family_is_the_class_that_computes_the_same() -> None:
    assert ShapeConfig().family == "llama"
    assert ShapeConfig(attention_bias="all", mlp_bias=True).family == "llama"
    assert ShapeConfig(attention_bias="qkv").family == "qwen2"
    assert ShapeConfig(qk_norm=True, head_dim=48).family == "qwen3"


def test_schedules_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError, match="exceed"):
        ScheduleConfig(warmup_share=0.6, decay_share=0.6)
    with pytest.raises(ValidationError, match="final_ratio"):
        ScheduleConfig(decay_shape="exponential")
