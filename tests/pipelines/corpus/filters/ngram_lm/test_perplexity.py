import numpy as np
import pytest

from pipelines.corpus.filters.labelled.examples import ExamplesError
from pipelines.corpus.filters.ngram_lm.build import build_language_model, cuts_of
from pipelines.corpus.filters.ngram_lm.config import LanguageModelConfig
from pipelines.corpus.filters.ngram_lm.model import ARRAYS, DocumentScores
from pipelines.corpus.filters.ngram_lm.perplexity import (
    PerplexityScoring,
    PinnedLanguageModel,
    count_buckets,
    perplexity_part,
    score_with,
)
from tests.pipelines.corpus.filters.corpus import documents, mixture

CONFIG = LanguageModelConfig(order=3, texts=({"batches": ("any.first",)},), reference=({"batches": ("any.first",)},))


@pytest.fixture(scope="module")
def built():
    wiki = mixture("wiki_en", 60)
    return build_language_model(wiki[:40], wiki[40:], mixture("web_en", 200, 2), CONFIG, None)


@pytest.fixture(scope="module")
def pinned(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    for name in ARRAYS:
        (folder / name).write_bytes(getattr(built.model, name).tobytes())
    return PinnedLanguageModel(
        paths={name: str(folder / name) for name in ARRAYS},
        digests=dict.fromkeys(ARRAYS, "0"),
        order=3,
        unknown_words=built.measures["unknown_words"],
        languages=(),
        max_characters=CONFIG.max_characters,
        head_below=built.measures["headline"]["head_below"],
        middle_below=built.measures["headline"]["middle_below"],
        reference=tuple(built.measures["reference"]),
    )


def test_the_reference_splits_at_its_percentiles(pinned):
    """30 and 60 of a hundred documents of the very pool that made the cuts, up to rounding by one document."""
    texts = mixture("web_en", 200, 2)
    config = PerplexityScoring(models={"wiki": pinned}, language=None)
    result = perplexity_part({"documents": documents(texts)}, config)
    table = result.tables["perplexity"]
    buckets = table["perplexity_bucket"].to_pylist()
    shares = [buckets.count(name) / len(texts) for name in ("head", "middle", "tail")]
    assert shares == pytest.approx([0.3, 0.3, 0.4], abs=0.011)
    values = np.array(table["perplexity"].to_pylist())
    ranks = np.array(table["perplexity_rank"].to_pylist())
    assert np.all(np.diff(ranks[np.argsort(values)]) >= 0)
    assert max(values[np.array(buckets) == "head"]) < min(values[np.array(buckets) == "tail"])
    counted = {name: buckets.count(name) for name in ("head", "middle", "tail")}
    assert {f"perplexity/wiki/{name}": number for name, number in counted.items()} == count_buckets(table, config)


def test_blank_documents_and_empty_parts(pinned):
    config = PerplexityScoring(models={"wiki": pinned}, language=None)
    row = perplexity_part({"documents": documents([" \n"])}, config).tables["perplexity"].to_pylist()[0]
    assert all(value is None for name, value in row.items() if name.startswith("perplexity"))
    assert len(perplexity_part({"documents": documents([])}, config).tables["perplexity"]) == 0


def test_any_model_can_be_passed_in(pinned):
    """A checkpoint is a callable: texts to log10 probabilities and token counts."""

    def scorer(texts):
        lengths = np.array([len(text) for text in texts])
        return DocumentScores(-2.0 * lengths, lengths, np.zeros(len(texts), np.int64))

    other = pinned.model_copy(update={"order": 0, "paths": {}, "head_below": 50.0, "middle_below": 100.5})
    config = PerplexityScoring(models={"lane": other}, language=None)
    row = score_with({"documents": documents(["hello"])}, config, {"lane": scorer}).tables["perplexity"].to_pylist()[0]
    assert row["perplexity"] == pytest.approx(100) and row["perplexity_bucket"] == "middle"
    assert row["perplexity_model"] == "lane"


def test_measures(built):
    headline = built.measures["headline"]
    assert 1 < headline["held_out_perplexity"] < len(built.words)
    assert 0 < headline["unknown_share"] < 0.3
    assert headline["head_below"] < headline["middle_below"]
    assert cuts_of(np.arange(101.0), CONFIG) == (30, 60)


def test_a_small_reference_is_refused():
    with pytest.raises(ExamplesError, match="too few for percentiles"):
        build_language_model(["a b c"], [], ["a"], CONFIG, None)


def test_settings_that_cannot_be():
    here = ({"batches": ("any.first",)},)
    for wrong in (
        {},
        {"texts": here, "head_percentile": 60},
        {"texts": here, "prune": (1,)},
        {"texts": here, "prune": (0, 2, 1)},
        {"arpa": "m.arpa"},
        {"texts": ({"path": "x", "label": "y"},)},
    ):
        with pytest.raises(ValueError):
            LanguageModelConfig(**wrong)
