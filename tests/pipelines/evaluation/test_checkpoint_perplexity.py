"""A published model of 260,000 parameters as the scorer of the family `perplexity`."""

import math

import numpy as np
import pyarrow as pa
import pytest

from pipelines.corpus.filters.ngram_lm.perplexity import PerplexityScoring, PinnedLanguageModel
from pipelines.evaluation.checkpoint_perplexity import checkpoint_perplexity_part
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.perplexity import score_documents
from pipelines.evaluation.scorer import text_encoder, torch_log_probs
from pipelines.model.hf_layout import load_model
from pipelines.tokens.tokenizer.config import ImportedTokenizer
from pipelines.tokens.tokenizer.encode import Encoder
from pipelines.tokens.tokenizer.imported import import_tokenizer
from tests.pipelines.corpus.filters.corpus import documents
from tests.shared_data import shared

TEXTS = [
    "Once upon a time, there was a little girl named Lily. She loved to play with her ball in the park. " * 12,
    "Quarterly amortization schedules require reconciliation of accrued liabilities.",
    "",
]


def test_it_is_the_perplexity_of_the_evaluation(tmp_path):
    folder = shared("models/stories260K-hf")
    config = ImportedTokenizer(location="tokenizer.json")
    beside = (folder / "tokenizer_config.json").read_bytes()
    bundle = import_tokenizer((folder / "tokenizer.json").read_bytes(), config, beside)
    paths = {name: str(folder / name) for name in ("model.safetensors", "config.json")}
    for name, data in bundle.files().items():
        (tmp_path / name).write_bytes(data)
        paths[name] = str(tmp_path / name)
    encoder, end = Encoder.of(bundle), bundle.facts.end_of_text_id
    pinned = PinnedLanguageModel(
        paths=paths, digests=dict.fromkeys(paths, "0"), order=0, end_of_text=end, unknown_words=1, languages=(),
        max_characters=10_000, head_below=20.0, middle_below=100.0, reference=(1.0, 1000.0),
    )  # fmt: skip
    table = documents(TEXTS)
    found = checkpoint_perplexity_part({"documents": table}, PerplexityScoring(models={"lane": pinned}, language=None))
    rows = found.tables["perplexity"].to_pylist()
    assert [row["perplexity_bucket"] for row in rows] == ["head", "tail", None]

    model = load_model(folder)
    wanted = score_documents(
        table.append_column("domain", pa.array(["x"] * len(TEXTS), pa.large_string())),
        text_encoder(encoder),
        torch_log_probs(model),
        end,
        model.config.max_positions,
        EvaluationConfig(stride=model.config.max_positions),
    )
    by_id = {row["id"]: row for row in wanted.to_pylist()}
    for row in rows[:2]:
        expected = by_id[row["id"]]
        assert row["perplexity"] == pytest.approx(math.exp(expected["nll"] / expected["tokens"]), rel=1e-4)
    assert np.isfinite(rows[0]["perplexity"])
