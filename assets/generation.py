"""Using a checkpoint: continue a prompt, or write it as a Hugging Face folder."""

import shutil
import tempfile
from difflib import get_close_matches
from pathlib import Path

from assets.model.lineage import model_folder, plan_of
from pipelines.core.artifacts import Artifact
from pipelines.core.errors import RefusedRequestError, UnknownNameError
from pipelines.tokens.tokenizer.bundle import TokenizerBundle
from pipelines.tokens.tokenizer.encode import Encoder
from resources.mill import Mill

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer_facts.json")


def find_checkpoint(mill: Mill, name: str) -> Artifact:
    """`lane/base_checkpoint`, `lane/continued_checkpoint:r0001`, or `lane/released_checkpoint`."""
    asset, _, key = name.partition(":")
    lane = asset.partition("/")[0]
    if lane not in mill.project.lanes:
        raise UnknownNameError(f"{name}: there is no lane {lane!r}; lanes: {', '.join(mill.project.lanes)}")
    known = [f"{lane}/{kind}_checkpoint" for kind in ("base", "continued", "released")]
    if asset not in known:
        near = get_close_matches(asset, known, n=1, cutoff=0.0)
        raise UnknownNameError(f"{name} is no checkpoint of lane {lane}; did you mean {near[0]!r}?")
    rounds = [entry["round"] for entry in mill.store.ledger(f"rounds/{lane}")]
    if asset.endswith("/continued_checkpoint") and key not in rounds:
        raise UnknownNameError(f"{name}: name the round as in {asset}:r0001; rounds: {', '.join(rounds) or 'none yet'}")
    artifact = mill.get(asset, key or None)
    if asset.endswith("/released_checkpoint"):
        return mill.store.open(artifact.json("released")["manifest"])
    return artifact


def encoder_of(mill: Mill, checkpoint: Artifact) -> Encoder:
    """The encoder of a checkpoint's pinned tokenizer."""
    tokenizer = mill.store.open(plan_of(checkpoint).tokenizer.manifest)
    return Encoder.of(TokenizerBundle.from_files({name: tokenizer.bytes_of(name) for name in TOKENIZER_FILES}))


def generate_text(
    mill: Mill, name: str, prompt: str, tokens: int, temperature: float, top_p: float | None, seed: int
) -> str:
    """The prompt and its continuation."""
    from pipelines.model.generate import generate
    from pipelines.model.hf_layout import load_model

    checkpoint = find_checkpoint(mill, name)
    plan, encoder = plan_of(checkpoint), encoder_of(mill, checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        model = load_model(model_folder(mill, checkpoint, Path(folder)))
    ids = [plan.end_of_text_id, *encoder.encode(prompt)]
    room = model.config.max_positions - len(ids)
    if room < 1:
        raise RefusedRequestError(
            f"the prompt has {len(ids)} tokens; {name} takes {model.config.max_positions}: shorten it"
        )
    produced = generate(
        model,
        [ids],
        max_new_tokens=min(tokens, room),
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        eos_token_id=plan.end_of_text_id,
    )
    new = [int(token) for token in produced[0][len(ids) :]]
    return prompt + encoder.decode([token for token in new if token != plan.end_of_text_id])


def export_checkpoint(mill: Mill, name: str, folder: Path) -> str:
    """A folder that `transformers` loads: weights, configuration, tokenizer."""
    checkpoint = find_checkpoint(mill, name)
    if folder.exists() and any(folder.iterdir()):
        raise RefusedRequestError(f"{folder} is not empty; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    part = checkpoint.parts[0]
    roles = [
        role
        for role in part.files
        if role in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
    ]
    for role in roles:
        shutil.copyfile(checkpoint.path(part, role), folder / role)
    return f"{folder}: {', '.join(sorted(roles))}"
