"""The Hugging Face layout of a model: `config.json` beside `model.safetensors`, both directions.

Written folders load in transformers as `LlamaForCausalLM`, `Qwen2ForCausalLM` or `Qwen3ForCausalLM`, whichever computes
the same function; folders of these three classes load here, sharded ones (`model.safetensors.index.json`) too. A folder
is hostile input: what our module does not compute (scaled rotary positions, sliding windows, other activations) is
refused by name, every tensor's name and shape is checked, and nothing is ever unpickled. Weights are read in float32.
"""

import json
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import digest_file
from pipelines.model.config import ArchitectureConfig, Bias, Family
from pipelines.model.estimates.parameters import parameter_count
from pipelines.model.transformer import Transformer, empty_model

WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
CONFIG: Final = "config.json"
CLASSES: Final[dict[Family, str]] = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}


class UnsupportedModelError(GristmillError, ValueError):
    """A model folder that is damaged or that this module would compute differently."""


def hf_config(
    config: ArchitectureConfig, *, bos_token_id: int | None = None, eos_token_id: int | None = None
) -> dict[str, Any]:
    """The `config.json` under which transformers computes the same function."""
    values: dict[str, Any] = {
        "architectures": [CLASSES[config.family]],
        "model_type": config.family,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden,
        "intermediate_size": config.intermediate,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_value_heads,
        "head_dim": config.head_width,
        "max_position_embeddings": config.max_positions,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.norm_eps,
        "initializer_range": config.init_std,
        "hidden_act": "silu",
        "tie_word_embeddings": config.tied_embeddings,
        "bos_token_id": bos_token_id,
        "eos_token_id": eos_token_id,
        "dtype": "float32",
    }
    if config.family == "llama":
        values["mlp_bias"] = config.mlp_bias
    if config.family != "qwen2":
        values["attention_bias"] = config.attention_bias == "all"
    return values


def architecture_of(values: dict[str, Any]) -> ArchitectureConfig:
    """The architecture that a `config.json` describes. Raises `UnsupportedModelError` with the field and its value."""
    family = values.get("model_type")
    if family not in CLASSES:
        raise UnsupportedModelError(f"model_type is {family!r}; this module computes {', '.join(CLASSES)}")
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    if not isinstance(rope, dict):
        raise UnsupportedModelError(f"rope_parameters is {rope!r}, not an object")
    refused = {
        "hidden_act": values.get("hidden_act", "silu") != "silu",
        "rope_parameters": rope.get("rope_type", rope.get("type", "default")) != "default",
        "use_sliding_window": bool(values.get("use_sliding_window")),
        "quantization_config": values.get("quantization_config") is not None,
    }
    for field, bad in refused.items():
        if bad:
            raise UnsupportedModelError(f"{field} = {values.get(field, rope)!r} is not computed here; use transformers")
    bias: Bias = "qkv" if family == "qwen2" else "all" if values.get("attention_bias") else "none"
    try:
        return ArchitectureConfig(
            vocab_size=values["vocab_size"],
            layers=values["num_hidden_layers"],
            hidden=values["hidden_size"],
            intermediate=values["intermediate_size"],
            heads=values["num_attention_heads"],
            kv_heads=values.get("num_key_value_heads"),
            # Qwen3Config's default width of a head is 128 whatever the hidden size; the other two divide.
            head_dim=values.get("head_dim", 128 if family == "qwen3" else None),
            max_positions=values.get("max_position_embeddings", 2048 if family == "llama" else 32768),
            rope_theta=rope.get("rope_theta", values.get("rope_theta", 10_000.0)),
            norm_eps=values.get("rms_norm_eps", 1e-6),
            tied_embeddings=values.get("tie_word_embeddings", False),
            qk_norm=family == "qwen3",
            attention_bias=bias,
            mlp_bias=bool(values.get("mlp_bias", False)),
            init_std=values.get("initializer_range", 0.02),
        )
    except KeyError as error:
        raise UnsupportedModelError(f"{CONFIG} has no field {error.args[0]!r}") from error
    except ValueError as error:
        raise UnsupportedModelError(f"{CONFIG} describes no valid architecture: {error}") from error


def model_tensors(model: Transformer) -> dict[str, Tensor]:
    """The weights under their Hugging Face names, contiguous, on the CPU."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}


def save_model(
    folder: Path, model: Transformer, *, bos_token_id: int | None = None, eos_token_id: int | None = None
) -> None:
    """Write both files into an existing folder. Equal weights give equal bytes."""
    values = hf_config(model.config, bos_token_id=bos_token_id, eos_token_id=eos_token_id)
    (folder / CONFIG).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    save_file(model_tensors(model), folder / WEIGHTS, metadata={"format": "pt"})


def read_architecture(folder: Path) -> ArchitectureConfig:
    """The architecture of a model folder."""
    path = folder / CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnsupportedModelError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(values, dict):
        raise UnsupportedModelError(f"{path} is not a JSON object")
    return architecture_of(values)


def load_model(folder: Path) -> Transformer:
    """The model of a folder, in float32. Raises `UnsupportedModelError` if a tensor is missing, extra or misshapen."""
    files = _weight_files(folder)
    model = empty_model(_plausible(read_architecture(folder), files))
    state = model.state_dict()
    missing = set(state)
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (not a dict)
                    if name == "lm_head.weight" and model.config.tied_embeddings:
                        continue
                    if name not in state:
                        raise UnsupportedModelError(
                            f"{file}: tensor {name!r} has no place in a {model.config.family} model"
                        )
                    tensor = tensors.get_tensor(name)
                    if tensor.shape != state[name].shape:
                        raise UnsupportedModelError(
                            f"{file}: {name} is {tuple(tensor.shape)}, config.json says {tuple(state[name].shape)}"
                        )
                    state[name].copy_(tensor.to(torch.float32))
                    missing.discard(name)
        except (SafetensorError, OSError) as error:
            raise UnsupportedModelError(f"{file} is not a readable safetensors file: {error}") from error
    if missing:
        raise UnsupportedModelError(f"{folder}: {len(missing)} tensors are missing, first {min(missing)!r}")
    return model


def folder_digests(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 of the configuration and the weights: what decides the model of a folder."""
    return {path.name: digest_file(path) for path in (folder / CONFIG, *_weight_files(folder))}


def _plausible(config: ArchitectureConfig, files: list[Path]) -> ArchitectureConfig:
    """Refuse a config.json that asks for far more memory than the weights can fill (at least one byte a parameter)."""
    stored = sum(file.stat().st_size for file in files if file.exists())
    if parameter_count(config) > stored:
        raise UnsupportedModelError(
            f"{CONFIG} describes {parameter_count(config):,} parameters, the weight files hold {stored:,} bytes"
        )
    return config


def _weight_files(folder: Path) -> list[Path]:
    index = folder / INDEX
    if not index.exists():
        return [folder / WEIGHTS]
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsupportedModelError(f"{index} is not an index of weights: {error}") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise UnsupportedModelError(f"{index} names {name!r}, which is not a file of this folder")
    return [folder / name for name in names]
