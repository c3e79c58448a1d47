"""Perplexity of documents under a checkpoint: the scorer that the corpus's family `perplexity` takes.

In: texts, and the files of a checkpoint and its tokenizer by name. Each text is cut into windows in which every token
is scored once, the first after an end-of-text token, on one thread, so that a document's score does not depend on how
many cores there are. Out: log10 probabilities and tokens a text. Cost: a forward pass over every token, so a small
model.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.ngram_lm.model import DocumentScores, Scorer
from pipelines.corpus.filters.ngram_lm.perplexity import (
    PerplexityScoring,
    PinnedLanguageModel,
    ngram_scorer,
    score_with,
)
from pipelines.evaluation.perplexity import rolling_windows
from pipelines.evaluation.scorer import text_encoder, torch_log_probs
from pipelines.evaluation.scoring import score_requests

CHECKPOINT_PERPLEXITY: Final = Algorithm("checkpoint_perplexity", 1)
TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json", "tokenizer_facts.json")
BATCH_TOKENS: Final = 4096


def checkpoint_perplexity_part(tables: Mapping[str, pa.Table], config: PerplexityScoring) -> PartResult:
    """As `perplexity_part`, for projects of which a language model (order 0) is a checkpoint."""
    scorers = {
        name: ngram_scorer(model) if model.order else checkpoint_scorer(model) for name, model in config.models.items()
    }
    return score_with(tables, config, scorers)


def checkpoint_scorer(model: PinnedLanguageModel) -> Scorer:
    """The scorer of a pinned checkpoint; it is loaded once a process."""
    paths = tuple(sorted(model.paths.items()))
    return lambda texts: score_checkpoint(paths, model.end_of_text, [text[: model.max_characters] for text in texts])


def score_checkpoint(paths: tuple[tuple[str, str], ...], end_of_text: int, texts: Sequence[str]) -> DocumentScores:
    """Scores of whole texts; no token is unknown to a byte-level tokenizer."""
    from pipelines.model.loop import deterministic

    model, encode, length = _load(paths)
    logs, tokens = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
    with deterministic(1):
        log_probs = torch_log_probs(model)
        for row, encoded in enumerate(encode(texts) if texts else []):
            windows = list(rolling_windows(encoded, end_of_text, length, length))
            logs[row] = float(np.sum(score_requests(log_probs, windows, BATCH_TOKENS, None))) / np.log(10)
            tokens[row] = len(encoded)
    return DocumentScores(logs, tokens, np.zeros(len(texts), np.int64))


@lru_cache(maxsize=2)
def _load(paths: tuple[tuple[str, str], ...]) -> tuple[Any, Any, int]:
    from pipelines.model.hf_layout import load_model
    from pipelines.tokens.tokenizer.bundle import TokenizerBundle
    from pipelines.tokens.tokenizer.encode import Encoder

    files = {name: Path(path) for name, path in paths}
    bundle = TokenizerBundle.from_files({name: files[name].read_bytes() for name in TOKENIZER_FILES})
    with TemporaryDirectory() as folder:
        for name, path in files.items():
            if name not in TOKENIZER_FILES:
                (Path(folder) / name).symlink_to(path)
        model = load_model(Path(folder))
    return model, text_encoder(Encoder.of(bundle)), model.config.max_positions
