"""A decoder-only transformer of the Llama family: token ids in, next-token logits out.

    h = E[ids];  for each block: h += Attention(RMSNorm(h)); h += SwiGLU(RMSNorm(h));  logits = W RMSNorm(h)

Grouped-query attention with rotary positions through `scaled_dot_product_attention` (no T x T matrix is kept);
optional RMSNorm on queries and keys (Qwen 3) and biases (Qwen 2); `W` is `E` when tied. Parameter names are those of
the Hugging Face classes, so a state dict is a checkpoint. There is no buffer: rotary angles are computed from the
positions (less than 0.1 ms at 256 tokens), so the module can be built on the meta device.

Initial weights: normal with `init_std`, divided by sqrt(2 * layers) for the two projections that write into the
residual stream (GPT-2); gains 1, biases 0. Each parameter draws from a generator of its own name, so no other choice
shifts it.
The loss of a fresh model is ln(vocabulary) within a few percent.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.core.seeds import derive
from pipelines.model.config import ArchitectureConfig

RESIDUAL_WRITERS: Final = ("o_proj.weight", "down_proj.weight")


class RMSNorm(nn.Module):
    """x / rms(x) * gain over the last axis."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class KeyValueCache:
    """Keys and values of the tokens so far, per layer `[batch, kv heads, capacity, head width]`, allocated once."""

    def __init__(self, config: ArchitectureConfig, batch: int, capacity: int, like: Tensor) -> None:
        shape = (config.layers, batch, config.key_value_heads, capacity, config.head_width)
        self.keys = like.new_empty(shape)
        self.values = like.new_empty(shape)
        self.length = 0

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write `[batch, kv heads, new, width]` behind the present length; gives all so far, `advance` moves on."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, tokens: int) -> None:
        self.length += tokens


def rotary_angles(positions: Tensor, width: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines `[tokens, 1, width]` for `rotate`: feature i turns with feature i + width/2.

    Frequencies theta^(-2i/width), in float32 as transformers computes them; the first half of the sines is negated.
    """
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device=positions.device) / width
    angles = positions.float()[:, None] / theta**exponents
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat((cosine, cosine), -1)[:, None], torch.cat((-sine, sine), -1)[:, None]


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions on `[batch, tokens, heads, width]`; one roll is three times faster than slices and a cat."""
    return x * cosine + torch.roll(x, x.shape[-1] // 2, -1) * sine


class Attention(nn.Module):
    """Causal grouped-query attention."""

    def __init__(self, config: ArchitectureConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.kv_heads, self.width = config.heads, config.key_value_heads, config.head_width
        inner, shared = self.heads * self.width, self.kv_heads * self.width
        qkv_bias, out_bias = config.attention_bias != "none", config.attention_bias == "all"
        self.q_proj = nn.Linear(config.hidden, inner, bias=qkv_bias)
        self.k_proj = nn.Linear(config.hidden, shared, bias=qkv_bias)
        self.v_proj = nn.Linear(config.hidden, shared, bias=qkv_bias)
        self.o_proj = nn.Linear(inner, config.hidden, bias=out_bias)
        self.q_norm = RMSNorm(self.width, config.norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(self.width, config.norm_eps) if config.qk_norm else None

    def forward(
        self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor:
        batch, tokens, _ = x.shape
        queries = self.q_proj(x).view(batch, tokens, self.heads, self.width)
        keys = self.k_proj(x).view(batch, tokens, self.kv_heads, self.width)
        values = self.v_proj(x).view(batch, tokens, self.kv_heads, self.width).transpose(1, 2)
        if self.q_norm is not None and self.k_norm is not None:
            queries, keys = self.q_norm(queries), self.k_norm(keys)
        queries = rotate(queries, cosine, sine).to(values.dtype).transpose(1, 2)
        keys = rotate(keys, cosine, sine).to(values.dtype).transpose(1, 2)
        if cache is not None:
            keys, values = cache.extend(self.layer, keys, values)
        mixed = F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=mask,
            is_causal=mask is None and tokens > 1,
            enable_gqa=self.kv_heads != self.heads,
        )
        out: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, self.heads * self.width))
        return out


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x))."""

    def __init__(self, config: ArchitectureConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden, config.intermediate, bias=config.mlp_bias)
        self.up_proj = nn.Linear(config.hidden, config.intermediate, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.intermediate, config.hidden, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: ArchitectureConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer)
        self.mlp = FeedForward(config)
        self.input_layernorm = RMSNorm(config.hidden, config.norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden, config.norm_eps)

    def forward(
        self, h: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor:
        h = h + self.self_attn(self.input_layernorm(h), cosine, sine, mask, cache)
        out: Tensor = h + self.mlp(self.post_attention_layernorm(h))
        return out


class Decoder(nn.Module):
    """Embedding, blocks and the final norm (the `model.` prefix of Hugging Face names)."""

    def __init__(self, config: ArchitectureConfig) -> None:
        super().__init__()
        # Embedding's own normal_ on the meta device imports torch._dynamo: 1.4 s and 85 MB for nothing.
        table = torch.empty(config.vocab_size, config.hidden)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden, _weight=table)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = RMSNorm(config.hidden, config.norm_eps)


class Transformer(nn.Module):
    """The language model. `forward(ids)` gives logits `[batch, tokens, vocabulary]`."""

    def __init__(self, config: ArchitectureConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.lm_head = None if config.tied_embeddings else nn.Linear(config.hidden, config.vocab_size, bias=False)

    @property
    def output_weight(self) -> Tensor:
        """The output matrix `[vocabulary, hidden]`, the embedding itself when tied."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def hidden(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Final normalized states `[batch, tokens, hidden]` of `ids` `[batch, tokens]`, after the tokens in `cache`.

        Raises `ValueError` beyond `max_positions`.
        """
        config, tokens = self.config, ids.shape[1]
        past = 0 if cache is None else cache.length
        if past + tokens > config.max_positions:
            raise ValueError(f"{past + tokens} tokens exceed the model's max_positions {config.max_positions}")
        positions = torch.arange(past, past + tokens, device=ids.device)
        cosine, sine = rotary_angles(positions, config.head_width, config.rope_theta)
        mask = None
        if past and tokens > 1:
            mask = torch.arange(past + tokens, device=ids.device)[None] <= positions[:, None]
        h = self.model.embed_tokens(ids)
        for block in self.model.layers:
            h = block(h, cosine, sine, mask, cache)
        if cache is not None:
            cache.advance(tokens)
        out: Tensor = self.model.norm(h)
        return out

    def forward(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        return F.linear(self.hidden(ids, cache), self.output_weight)


def empty_model(config: ArchitectureConfig) -> Transformer:
    """A model on the CPU whose weights are not set yet."""
    with torch.device("meta"):
        model = Transformer(config)
    return model.to_empty(device="cpu")


@torch.no_grad()
def initialise(model: Transformer, seed: int) -> None:
    """Set fresh weights (see the module's text), the same for one seed on any machine and thread count."""
    config = model.config
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            parameter.zero_()
        elif parameter.ndim == 1:
            parameter.fill_(1.0)
        else:
            generator = torch.Generator().manual_seed(derive(seed, "weights", name) >> 1)
            scale = (2 * config.layers) ** -0.5 if name.endswith(RESIDUAL_WRITERS) else 1.0
            parameter.normal_(0.0, config.init_std * scale, generator=generator)


def build_model(config: ArchitectureConfig, seed: int) -> Transformer:
    """A fresh model with initial weights of `seed`."""
    model = empty_model(config)
    initialise(model, seed)
    return model
