"""Model folders both ways: what we write loads in transformers, what it writes loads here, and hostile ones do not."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.model.generate import generate
from pipelines.model.hf_layout import (
    UnsupportedModelError,
    architecture_of,
    hf_config,
    load_model,
    read_architecture,
    save_model,
)
from pipelines.model.transformer import Transformer, build_model
from tests.pipelines.model.test_transformer import VARIANTS, ids
from tests.pipelines.model.tiny import architecture
from tests.shared_data import shared

LARGE = 0.2
"""Standard deviation that makes logits of order 1 to 10, so a difference of 1e-4 means something."""


def other_class(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()


def scrambled(model: Transformer) -> Transformer:
    """Gains and biases away from 1 and 0, so a forgotten one shows."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize("fields", VARIANTS)
def test_both_directions_give_the_same_logits(fields: dict[str, Any], tmp_path: Path) -> None:
    ours = scrambled(build_model(architecture(init_std=LARGE, **fields), 4))
    (tmp_path / "a").mkdir()
    save_model(tmp_path / "a", ours, eos_token_id=0)
    theirs = other_class(tmp_path / "a")
    assert type(theirs).__name__ == json.loads((tmp_path / "a" / "config.json").read_text())["architectures"][0]
    with torch.no_grad():
        expected = theirs(ids()).logits
        assert expected.abs().max() > 0.5
        assert (ours(ids()) - expected).abs().max() < 1e-4
        theirs.save_pretrained(tmp_path / "b")
        back = load_model(tmp_path / "b")
        assert back.config.model_copy(update={"kv_heads": None, "head_dim": None}) == ours.config.model_copy(
            update={"kv_heads": None, "head_dim": None}
        )
        assert (back.config.key_value_heads, back.config.head_width) == (
            ours.config.key_value_heads,
            ours.config.head_width,
        )
        assert (back(ids()) - expected).abs().max() < 1e-4


def test_a_folder_that_transformers_wrote_in_shards_loads(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=97,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        )
    ).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    with torch.no_grad():
        assert (load_model(tmp_path)(ids()) - theirs(ids()).logits).abs().max() < 1e-4


def test_the_real_checkpoint_gives_the_logits_and_the_text_of_transformers() -> None:
    from tokenizers import Tokenizer

    folder = shared("models/stories260K-hf")
    ours, theirs = load_model(folder), other_class(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    prompt = torch.tensor([tokenizer.encode("Once upon a time, there was a little girl named Lily.").ids])
    assert sum(parameter.numel() for parameter in ours.parameters()) == 260_032
    with torch.no_grad():
        assert (ours(prompt) - theirs(prompt).logits).abs().max() < 1e-4
    expected = theirs.generate(prompt, max_new_tokens=200, do_sample=False)
    assert generate(ours, prompt.numpy(), 200, eos_token_id=2).tolist() == expected.tolist()
    start = generate(ours, [1], 60)[0]
    assert tokenizer.decode(start.tolist()).startswith("Once upon a time, there was a little girl named Lily.")


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_model(tmp_path / name, build_model(architecture(tied_embeddings=False), 4))
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model_type": "mistral"}, "model_type"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "rope_parameters"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_parameters"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"num_attention_heads": 5}, "heads"),
        ({"vocab_size": "many"}, "vocab_size"),
        ({"rope_parameters": [1]}, "rope_parameters"),
    ],
)
def test_a_config_that_we_would_compute_differently_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(UnsupportedModelError, match=field):
        architecture_of(hf_config(architecture()) | change)


def test_damaged_folders_are_refused_by_name(tmp_path: Path) -> None:
    def fresh(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        save_model(folder, build_model(architecture(), 4))
        return folder

    with pytest.raises(UnsupportedModelError, match=r"config\.json"):
        read_architecture(tmp_path)
    truncated = fresh("truncated")
    weights = (truncated / "model.safetensors").read_bytes()
    (truncated / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(UnsupportedModelError, match="safetensors"):
        load_model(truncated)
    missing = fresh("missing")
    tensors = load_file(missing / "model.safetensors")
    name, tensor = tensors.popitem()
    save_file(tensors, missing / "model.safetensors")
    with pytest.raises(UnsupportedModelError, match=name):
        load_model(missing)
    save_file({**tensors, name: tensor[..., :-1].contiguous()}, missing / "model.safetensors")
    with pytest.raises(UnsupportedModelError, match=r"config\.json says"):
        load_model(missing)
    save_file({**tensors, name: tensor, "odd": tensor.clone()}, missing / "model.safetensors")
    with pytest.raises(UnsupportedModelError, match="odd"):
        load_model(missing)
    huge = fresh("huge")
    values = json.loads((huge / "config.json").read_text()) | {"hidden_size": 2**20, "intermediate_size": 2**20}
    (huge / "config.json").write_text(json.dumps(values))
    with pytest.raises(UnsupportedModelError, match="parameters"):
        load_model(huge)
    sharded = fresh("sharded")
    (sharded / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../missing/model.safetensors"}}')
    with pytest.raises(UnsupportedModelError, match="not a file of this folder"):
        load_model(sharded)
