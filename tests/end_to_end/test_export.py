"""An exported checkpoint is a Hugging Face folder: transformers computes our logits, and its tokenizer is lossless."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.generation import encoder_of, find_checkpoint
from assets.model.lineage import plan_of
from pipelines.model.hf_layout import load_model
from tests.end_to_end.conftest import FinishedRun

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

CHECKPOINTS = ("tiny/base_checkpoint", "tiny/continued_checkpoint:r0001", "tiny/released_checkpoint")
LARGEST_DIFFERENCE = 1e-4


@pytest.fixture(scope="module", params=CHECKPOINTS)
def exported(request: pytest.FixtureRequest, small_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `gristmill export` writes."""
    folder = tmp_path_factory.mktemp("export") / "model"
    done = small_run.gristmill("export", request.param, str(folder))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    return folder


def texts(run: FinishedRun) -> Iterator[str]:
    """Every clean document of the project, training and held-out."""
    for key in run.mill.sealed():
        for _, table in run.mill.get("clean_documents", key).tables("documents", ["text"]):
            yield from table["text"].to_pylist()


def test_transformers_computes_our_logits(exported: Path, small_run: FinishedRun) -> None:
    """Random ids, a real document, and a padded batch of both lengths that the model takes: 1 and all positions."""
    theirs = transformers.LlamaForCausalLM.from_pretrained(exported, dtype=torch.float32).eval()
    ours = load_model(exported).eval()
    positions, vocabulary = ours.config.max_positions, ours.config.vocab_size
    encoder = encoder_of(small_run.mill, find_checkpoint(small_run.mill, "tiny/base_checkpoint"))
    document = next(text for text in texts(small_run) if len(text) > 2000)
    inputs = [
        torch.randint(0, vocabulary, (3, positions), generator=torch.Generator().manual_seed(7)),
        torch.tensor([[int(token) for token in encoder.encode(document)][:positions]]),
        torch.zeros((1, 1), dtype=torch.long),
    ]
    with torch.no_grad():
        for ids in inputs:
            difference = (theirs(ids).logits - ours(ids)).abs().max().item()
            assert difference < LARGEST_DIFFERENCE


def test_the_tokenizer_is_lossless_and_writes_our_ids(exported: Path, small_run: FinishedRun) -> None:
    """Every document of the project, and each again with the text of every special token in it."""
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(exported)
    checkpoint = find_checkpoint(small_run.mill, "tiny/base_checkpoint")
    encoder, plan = encoder_of(small_run.mill, checkpoint), plan_of(checkpoint)
    names = list(tokenizer.get_added_vocab())
    assert plan.end_of_text_id == tokenizer.eos_token_id
    assert len(names) >= 4
    documents = list(texts(small_run))
    assert len(documents) > 60
    hostile = [f"{name}{text[:200]}{name} {''.join(names)}\n{name}" for text in documents[:20] for name in names]
    control = set(tokenizer.get_added_vocab().values())
    for text in [*documents, *hostile]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False) == text
        own = [int(token) for token in encoder.encode(text)]
        assert encoder.decode(own) == text
        assert not control.intersection(own), "document text became a special token"
        assert own == tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
