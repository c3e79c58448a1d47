"""Configuration of the model chapter: the architecture, the optimiser, the learning-rate schedule and the run.

Light by contract (pydantic only). A *shape* is an architecture without its vocabulary, because the vocabulary comes
from the tokenizer: `shape.with_vocabulary(8192)` makes the architecture. Everything that changes one bit of the trained
weights is identity, thread count and number format included; how often checkpoints are written is not.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from pipelines.core.config import Config, operational

Bias = Literal["none", "qkv", "all"]
Family = Literal["llama", "qwen2", "qwen3"]
Dtype = Literal["float32", "bfloat16"]
ScheduleKind = Literal["wsd", "cosine", "constant"]
DecayShape = Literal["1-sqrt", "linear", "cosine", "exponential"]


class ShapeConfig(Config):
    """A decoder-only transformer of the Llama family, without its vocabulary."""

    layers: int = Field(default=4, ge=1, le=1024, description="Number of transformer blocks.")
    hidden: int = Field(default=256, ge=2, description="Width of the residual stream.")
    intermediate: int = Field(default=688, ge=1, description="Width inside the SwiGLU feed-forward layer.")
    heads: int = Field(default=4, ge=1, description="Number of query heads.")
    kv_heads: int | None = Field(
        default=None, ge=1, description="Number of key and value heads; fewer than heads shares them; default: heads."
    )
    head_dim: int | None = Field(
        default=None, ge=2, description="Width of one head, even; default: hidden divided by heads."
    )
    max_positions: int = Field(default=2048, ge=1, description="Longest sequence that the model accepts, in tokens.")
    rope_theta: float = Field(default=10_000.0, gt=1, description="Base of the rotary position frequencies.")
    norm_eps: float = Field(default=1e-5, gt=0, description="Constant added to the mean square in RMSNorm.")
    tied_embeddings: bool = Field(default=True, description="Whether the output layer is the token embedding itself.")
    qk_norm: bool = Field(default=False, description="Whether queries and keys pass through RMSNorm per head (Qwen 3).")
    attention_bias: Bias = Field(
        default="none",
        description="Biases of the attention: none, on queries, keys and values (Qwen 2), or on all projections.",
    )
    mlp_bias: bool = Field(default=False, description="Whether the feed-forward projections have biases.")
    init_std: float = Field(default=0.02, gt=0, description="Standard deviation of the initial weights.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.head_dim is None and self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}; set head_dim")
        if self.heads % self.key_value_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.key_value_heads}")
        if self.head_width % 2:
            raise ValueError(f"head_dim {self.head_width} is odd; rotary positions turn pairs of features")
        if self.qk_norm and (self.attention_bias == "qkv" or self.mlp_bias):
            raise ValueError(
                "qk_norm goes with attention_bias none or all and without mlp_bias: nothing public has more"
            )
        if self.attention_bias == "qkv" and (self.mlp_bias or self.head_width * self.heads != self.hidden):
            raise ValueError("attention_bias qkv goes without mlp_bias and with head_dim = hidden / heads (Qwen 2)")
        if self.family == "llama" and self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}: transformers refuses it")
        return self

    @property
    def key_value_heads(self) -> int:
        return self.heads if self.kv_heads is None else self.kv_heads

    @property
    def head_width(self) -> int:
        return self.hidden // self.heads if self.head_dim is None else self.head_dim

    @property
    def family(self) -> Family:
        """The `model_type` under which transformers computes the same function."""
        if self.qk_norm:
            return "qwen3"
        return "qwen2" if self.attention_bias == "qkv" else "llama"

    def with_vocabulary(self, vocab_size: int) -> "ArchitectureConfig":
        """This shape over a vocabulary of `vocab_size` token ids."""
        return ArchitectureConfig(vocab_size=vocab_size, **self.model_dump())


class ArchitectureConfig(ShapeConfig):
    """A complete architecture: a shape and the size of its vocabulary."""

    vocab_size: int = Field(ge=2, description="Number of token ids, special tokens included.")


class OptimiserConfig(Config):
    """AdamW with decoupled weight decay; the defaults are those of the Llama reports."""

    learning_rate: float = Field(default=1e-3, gt=0, description="Peak learning rate; the schedule multiplies it.")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of the running mean of gradients.")
    beta2: float = Field(default=0.95, ge=0, lt=1, description="Decay of the running mean of squared gradients.")
    eps: float = Field(default=1e-8, gt=0, description="Constant added to the root of the second moment.")
    weight_decay: float = Field(default=0.1, ge=0, description="Decoupled weight decay of the matrices.")
    decay_embeddings: bool = Field(default=False, description="Whether embedding and output matrices decay too.")


class ScheduleConfig(Config):
    """How the learning rate moves over a run, as factors of its peak."""

    kind: ScheduleKind = Field(default="wsd", description="Warmup-stable-decay, cosine, or constant after the warmup.")
    warmup_share: float = Field(default=0.02, ge=0, le=1, description="Share of the steps that raise the rate from 0.")
    decay_share: float = Field(default=0.2, ge=0, le=1, description="Share of the steps in the final decay (wsd only).")
    decay_shape: DecayShape = Field(default="1-sqrt", description="Curve of the final decay (wsd only).")
    final_ratio: float = Field(
        default=0.0, ge=0, le=1, description="The rate at the last step divided by its peak (wsd and cosine)."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "wsd" and self.warmup_share + self.decay_share > 1:
            raise ValueError(f"warmup_share {self.warmup_share} and decay_share {self.decay_share} exceed the run")
        if self.kind == "wsd" and self.decay_shape == "exponential" and self.final_ratio == 0:
            raise ValueError("an exponential decay never reaches 0: set final_ratio above 0")
        return self


class TrainConfig(Config):
    """One training run: its length, its batches, its numerics."""

    sequence_length: int = Field(default=256, ge=2, description="Tokens of one training sequence.")
    batch_sequences: int = Field(default=16, ge=1, description="Sequences of one optimiser step.")
    micro_batch_sequences: int = Field(
        default=16, ge=1, description="Sequences computed at once; gradients accumulate up to batch_sequences."
    )
    steps: int | None = Field(default=None, ge=1, description="Length of the run in optimiser steps; or give tokens.")
    tokens: int | None = Field(default=None, ge=1, description="Length of the run in tokens, cut to whole steps.")
    grad_clip: float = Field(default=1.0, ge=0, description="Largest global gradient norm; 0 switches clipping off.")
    z_loss: float = Field(default=0.0, ge=0, description="Weight of the squared log-partition; PaLM used 1e-4.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of the initial weights.")
    threads: int = Field(default=2, ge=1, le=1024, description="Compute threads; another number gives other weights.")
    dtype: Dtype = Field(default="float32", description="Format of the matrix products; weights and sums stay float32.")
    kernel_mode: Literal["eager", "compiled"] = Field(
        default="eager", description="Kernels of PyTorch as they are, or fused by torch.compile (needs a C++ compiler)."
    )
    world_size: Literal[1] = Field(default=1, description="Number of processes that train together.")
    checkpoint_every: int = operational(100, "Steps between checkpoints; one more is written at the end.", ge=1)
    keep: int = operational(2, "Newest complete checkpoints that stay in the work folder.", ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.steps is None) == (self.tokens is None):
            raise ValueError("give the length of the run as steps or as tokens, one of them")
        if self.tokens is not None and self.tokens < self.tokens_per_step:
            raise ValueError(f"tokens {self.tokens} is less than one step of {self.tokens_per_step} tokens")
        if self.batch_sequences % self.micro_batch_sequences:
            raise ValueError(
                f"batch_sequences {self.batch_sequences} is not a multiple of "
                f"micro_batch_sequences {self.micro_batch_sequences}"
            )
        return self

    @property
    def tokens_per_step(self) -> int:
        return self.batch_sequences * self.sequence_length

    @property
    def total_steps(self) -> int:
        if self.steps is not None:
            return self.steps
        assert self.tokens is not None
        return self.tokens // self.tokens_per_step

    @property
    def total_tokens(self) -> int:
        """Tokens that the run really sees."""
        return self.total_steps * self.tokens_per_step
