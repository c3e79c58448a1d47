import gzip
import io

import numpy as np
import pytest

from pipelines.corpus.filters.ngram_lm.arpa import ArpaError, arpa_bytes, read_arpa, write_arpa
from pipelines.corpus.filters.ngram_lm.config import LanguageModelConfig
from pipelines.corpus.filters.ngram_lm.model import ARRAYS, mapped, score_texts
from pipelines.corpus.filters.ngram_lm.train import train_ngrams
from tests.pipelines.corpus.filters.corpus import mixture

CONFIG = LanguageModelConfig(order=3, texts=({"batches": ("any.first",)},))
TEXTS = ["one two three\none two one\nthree two one"]


def test_a_model_comes_back_from_its_file(tmp_path):
    texts = mixture("wiki_en", 12)
    trained = train_ngrams(texts, CONFIG)
    (tmp_path / "m.arpa.gz").write_bytes(arpa_bytes(trained.model, trained.words))
    model, words = read_arpa(tmp_path / "m.arpa.gz")
    assert words == trained.words and model.order == 3
    for name in ("hashes", "word", "first_child"):
        assert np.array_equal(getattr(model, name), getattr(trained.model, name)), name
    for name in ("log_probability", "log_backoff"):
        assert getattr(model, name) == pytest.approx(getattr(trained.model, name), abs=1e-5), name
    again = io.StringIO()
    write_arpa(model, words, again)
    assert again.getvalue().encode() == gzip.decompress(arpa_bytes(trained.model, trained.words))


def test_stored_arrays_are_the_model(tmp_path):
    trained = train_ngrams(TEXTS, CONFIG)
    paths = {name: tmp_path / name for name in ARRAYS}
    for name, path in paths.items():
        path.write_bytes(getattr(trained.model, name).tobytes())
    model = mapped(3, paths)
    wanted, found = (score_texts(item, ["one two four"], 99).log_probability for item in (trained.model, model))
    assert wanted == pytest.approx(found)


def test_a_model_written_by_hand(tmp_path):
    """p(b | a) = 10^-0.1 is listed; p(c | a) backs off: 10^(-0.4 - 0.7); the line ends by backing off from b and c."""
    (tmp_path / "m.arpa").write_text(
        "\\data\\\nngram 1=6\nngram 2=2\n\n\\1-grams:\n-2\t<unk>\n0\t<s>\t-0.2\n"
        "-0.5\t</s>\n-0.3\ta\t-0.4\n-0.6\tb\t-0.05\n"
        "-0.7\tc\n\n\\2-grams:\n-0.1\ta b\n-0.15\t<s> a\n\n\\end\\\n"
    )
    model, words = read_arpa(tmp_path / "m.arpa")
    assert set(words) == {"a", "b", "c"}
    logs = score_texts(model, ["a b", "a c", "z"], 99).log_probability
    assert logs == pytest.approx([-0.15 - 0.1 - 0.05 - 0.5, -0.15 - 0.4 - 0.7 - 0.5, -0.2 - 2 - 0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello\n", r"ends before"),
        ("\\data\\\n\\end\\\n", r"no section"),
        ("\\1-grams:\n-1\ta\n\\2-grams:\n-1\ta z\n\\end\\\n", r"'a z' is listed"),
        ("\\1-grams:\nx\ta\n\\end\\\n", r"line 2: .* is no n-gram"),
        ("\\1-grams:\n-1\ta b\n\\end\\\n", r"line 2: 2 words among the 1-grams"),
        ("\\1-grams:\n-1\ta\n\\2-grams:\n-1\ta a\n-1\ta a\n\\end\\\n", r"listed twice"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, text, message):
    (tmp_path / "m.arpa").write_text(text)
    with pytest.raises(ArpaError, match=message):
        read_arpa(tmp_path / "m.arpa")
