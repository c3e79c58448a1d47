import json
import math

import numpy as np
import pyarrow as pa
import pytest

from pipelines.evaluation.config import EvaluationConfig, TaskConfig
from pipelines.evaluation.items import read_items
from pipelines.evaluation.perplexity import score_documents
from pipelines.evaluation.scorer import text_encoder, torch_log_probs
from pipelines.evaluation.scores import domain_scores, task_scores
from pipelines.evaluation.tasks import score_items
from tests.shared_data import shared

START = 1
STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw "
    "a big red ball. She wanted to play with it, but her mom said no. Lily was sad. Then her friend Tom came to the "
    "park. They played with the ball together and had a lot of fun."
)


@pytest.fixture(scope="module")
def stories():
    """The real 260K-parameter story model, as transformers loads it, and its tokenizer's encode."""
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    folder = shared("models/stories260K-hf")
    torch.set_num_threads(1)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def encode(texts):
        return [e.ids for e in tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    return model, encode


def table_of(texts):
    ids = [index.to_bytes(16, "big") for index in range(len(texts))]
    return pa.table({"id": pa.array(ids, pa.binary(16)), "domain": ["stories"] * len(texts), "text": texts})


def test_log_probs_of_a_module_equal_the_definition():
    import torch

    class Tiny(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(torch.randn(11, 11, generator=torch.Generator().manual_seed(0)))
            self.drop = torch.nn.Dropout(0.9)

        def forward(self, ids):
            return self.drop(self.table)[ids]

    model = Tiny()
    rng = np.random.default_rng(0)
    ids, targets = rng.integers(0, 11, (3, 5)), rng.integers(0, 11, (3, 5))
    mask = rng.random((3, 5)) < 0.6
    mask[1] = False
    got = torch_log_probs(model)(ids, targets, mask)
    weights = model.table.detach().double().numpy()
    expected = (weights - np.log(np.exp(weights).sum(1, keepdims=True)))[ids, targets]
    assert got.dtype == np.float32
    assert got[mask] == pytest.approx(expected[mask], abs=1e-5)
    assert not got[~mask].any()


def test_our_own_transformer_scores_like_that_of_transformers(stories):
    from pipelines.model.hf_layout import load_model

    model, encode = stories
    ours = load_model(shared("models/stories260K-hf"))
    scores = [
        score_documents(table_of([STORY, "Tom ran."]), encode, torch_log_probs(each), START, 512, EvaluationConfig())
        for each in (model, ours)
    ]
    assert scores[1]["nll"].to_pylist() == pytest.approx(scores[0]["nll"].to_pylist(), rel=1e-5)


def test_bits_per_byte_of_the_story_model(stories):
    """Window by window against transformers' own loss; a story costs it far less than the same words shuffled."""
    import torch

    model, encode = stories
    shuffled = " ".join(np.random.default_rng(0).permutation(STORY.split()))
    config = EvaluationConfig(window=64)
    rows = score_documents(table_of([STORY, shuffled]), encode, torch_log_probs(model), START, 512, config)
    tokens = encode([STORY])[0]
    assert len(tokens) > 64
    first = torch.tensor([[START, *tokens[:64]]])
    expected = 0.0
    with torch.no_grad():
        expected += float(model(first, labels=first).loss) * 64
        done = 64
        while done < len(tokens):
            end = min(done + 64, len(tokens))
            window = torch.tensor([[START, *tokens][end - 64 : end + 1]])
            labels = window.clone()
            labels[0, : 65 - (end - done)] = -100
            expected += float(model(window, labels=labels).loss) * (end - done)
            done = end
    assert rows["nll"][0].as_py() == pytest.approx(expected, rel=1e-5)
    story, noise = (row["nll"] / (row["bytes"] * math.log(2)) for row in rows.to_pylist())
    assert story < 0.8 < 1.3 < noise
    (score,) = domain_scores(rows, config)
    assert score.bits_per_byte.value == pytest.approx(sum(rows["nll"].to_pylist()) / (2 * len(STORY) * math.log(2)))


def test_batching_moves_no_more_than_the_last_bits(stories):
    model, encode = stories
    texts = [STORY[: 20 * size] for size in range(1, 14)]
    results = [
        score_documents(
            table_of(texts), encode, torch_log_probs(model), START, 512, EvaluationConfig(batch_tokens=batch)
        )["nll"].to_numpy()
        for batch in (1, 300, 4096)
    ]
    assert results[1] == pytest.approx(results[0], rel=1e-5)
    assert results[2] == pytest.approx(results[0], rel=1e-5)


def test_the_story_model_continues_stories(stories, tmp_path):
    """Its acc equals a direct computation with transformers, and it knows how its stories go on."""
    import torch

    model, encode = stories
    records = [
        ("Once upon a time, there was a little", ["girl named Lily.", "because of the.", "and not it.", "ran up no."]),
        ("Lily and Tom were playing in the", ["said and but.", "park.", "very it was.", "not she."]),
        ("She was very sad and started to", ["happy big the.", "red was a.", "cry.", "a her it."]),
        ("They played together and had a lot of", ["was not.", "she said it.", "big of and.", "fun."]),
        ("The dog wanted to play with the", ["ball.", "was very and.", "said she.", "not but."]),
        ("They saw a bird. The bird flew up in the", ["was a.", "sky.", "said and.", "of it."]),
    ]  # fmt: skip
    path = tmp_path / "stories.jsonl"
    golds = [0, 1, 2, 3, 0, 1]
    path.write_text(
        "".join(
            json.dumps({"question": question, "choices": choices, "gold": gold}) + "\n"
            for (question, choices), gold in zip(records, golds, strict=True)
        )
    )
    task = TaskConfig(name="stories", file=path.name)
    items = read_items(path, task)
    config = EvaluationConfig(context_prefix="end_of_text")
    rows = score_items(task, items, encode, torch_log_probs(model), START, 512, config)
    for row, (question, choices) in zip(rows.to_pylist(), records, strict=True):
        context = encode([question])[0]
        for choice, got in zip(choices, row["log_likelihoods"], strict=True):
            whole = encode([f"{question} {choice}"])[0]
            with torch.no_grad():
                logits = model(torch.tensor([[START, *whole]])).logits[0].double().log_softmax(-1)
            expected = sum(float(logits[i, whole[i]]) for i in range(len(context), len(whole)))
            assert got == pytest.approx(expected, rel=1e-4)
    (score,) = task_scores(rows, config)
    assert score.acc.value == 1.0
    assert (score.random, score.items, score.ties) == (0.25, 6, 0)


def test_the_encoder_of_a_tokenizer_artifact_is_an_encode():
    from pipelines.tokens.tokenizer.encode import Encoder

    encoder = Encoder((shared("models/stories260K-hf") / "tokenizer.json").read_bytes(), "</s>")
    texts = [STORY, "", "a </s> b", "三国"]
    assert text_encoder(encoder)(texts) == [encoder.encode(text) for text in texts]
    assert text_encoder(encoder)([]) == []
