"""KenLM's estimator: against ours on real text where the tool is here, and its failures by stand-ins everywhere."""

import errno
import math
import os
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import psutil
import pytest

from pipelines.corpus.filters.labelled.examples import ExamplesError
from pipelines.corpus.filters.ngram_lm.arpa import ArpaError
from pipelines.corpus.filters.ngram_lm.build import build_language_model
from pipelines.corpus.filters.ngram_lm.config import LanguageModelConfig
from pipelines.corpus.filters.ngram_lm.kenlm import KenlmError, train_kenlm
from pipelines.corpus.filters.ngram_lm.model import score_texts
from pipelines.corpus.filters.ngram_lm.numbered_arpa import read_numbered
from pipelines.corpus.filters.ngram_lm.train import train_ngrams
from tests.pipelines.corpus.filters.corpus import mixture
from tests.pipelines.corpus.filters.ngram_lm.lmplz_tool import RELATIVE, real_lmplz, stand_in, tool

LAST = {
    "wiki_en": "\n".join(f"{word} zygodactylous" for word in ("the", "of", "and", "in", "to", "was")),
    "zh_general": "\n".join(f"{word}囍" for word in "的一是在有人"),
}
TEXTS = ["one two three\none two one\nthree two one", "", "one four"]


def config(**changes):
    return LanguageModelConfig(**{"texts": ({"batches": ("any.first",)},), "order": 3, "estimator": "kenlm", **changes})


@pytest.mark.parametrize("domain", ["wiki_en", "zh_general"])
@pytest.mark.parametrize(("order", "min_count"), [(5, 1), (5, 2), (2, 3), (1, 2)])
def test_both_estimators_give_one_model(tmp_path, domain, order, min_count):
    """The same n-grams in the same places. Without unknown words the numbers are equal to float32; with them KenLM's
    vocabulary has one word more, which moves a log10 by log10(1 + 1 / V) at most.

    The last text keeps KenLM's tallies right (see `kenlm.py`): the word that is met last has more than four words
    before it, and what it ends with one of them occurs once, at the start of a line."""
    texts, settings = (*mixture(domain, 60, 3), LAST[domain]), config(order=order, min_count=min_count)
    found = train_kenlm(texts, settings, tool(real_lmplz(), tmp_path))
    ours = train_ngrams(texts, settings)
    assert found.words == ours.words and found.ngrams == ours.ngrams
    assert (found.tokens, found.unknown_words) == (ours.tokens, ours.unknown_words)
    for name in ("hashes", "word", "first_child"):
        assert np.array_equal(getattr(found.model, name), getattr(ours.model, name)), name
    room = 1e-6 + (math.log10(1 + 1 / len(ours.words)) if min_count > 1 else 0)
    asked = np.arange(len(ours.model.word)) != 1  # nobody asks for the probability of `<s>`
    for name in ("log_probability", "log_backoff"):
        one, two = (getattr(item.model, name)[asked] for item in (found, ours))
        assert np.abs(one - two).max() < room, name
    assert list(tool_folder(tmp_path)) == []


def tool_folder(folder):
    return (folder / "work").iterdir()


@pytest.mark.parametrize("domain", ["wiki_en", "zh_general"])
def test_documents_are_head_middle_and_tail_alike(tmp_path, domain):
    texts, pool = mixture(domain, 60, 3), mixture(domain, 90, 2)
    settings = config(order=5)
    with_tool = partial(train_kenlm, tool=tool(real_lmplz(), tmp_path))
    models = [build_language_model(texts, texts[:5], pool, settings, None, how) for how in (with_tool, train_ngrams)]
    buckets = []
    for built in models:
        perplexity = score_texts(built.model, pool, 20_000, built.measures["unknown_words"]).perplexity()
        cuts = [built.measures["headline"][name] for name in ("head_below", "middle_below")]
        buckets.append(np.searchsorted(cuts, perplexity, side="right"))
    assert np.array_equal(*buckets) and set(buckets[0]) == {0, 1, 2}
    one, two = (built.measures["headline"]["held_out_perplexity"] for built in models)
    assert one == pytest.approx(two, rel=5e-5)


def test_words_that_are_symbols_or_separators_of_the_tool(tmp_path):
    """No spelling reaches it: a word is a number. `\\data\\`, control characters and `</s>` are text like any other."""
    texts = ["<s> </s> <unk> a\x00b\x0bc \\data\\ ngram 1=5\n\\end\\", "a\u3000b\u2028c 1 2 0", "\\1-grams:\n0 0 0"] * 2
    texts += mixture("wiki_en", 20)
    found = train_kenlm(texts, config(), tool(real_lmplz(), tmp_path))
    ours = train_ngrams(texts, config())
    assert found.words == ours.words
    assert found.model.log_probability[2:] == pytest.approx(ours.model.log_probability[2:], abs=1e-3)


def test_the_model_is_what_the_tool_wrote(tmp_path):
    """Relative frequencies of the stand-in: 12 words and 4 line ends; `four` occurs once and is unknown."""
    found = train_kenlm(iter_twice(TEXTS), config(), tool(stand_in(tmp_path, RELATIVE), tmp_path))
    assert set(found.words) == {"one", "two", "three"} and found.unknown_words == 1 and found.tokens == 11
    logs = dict(zip(["<unk>", "<s>", "</s>", *found.words], found.model.log_probability, strict=True))
    counts = {"one": 5, "two": 3, "three": 2, "<unk>": 1, "</s>": 4}
    for word, count in counts.items():
        assert logs[word] == pytest.approx(math.log10(count / 15), abs=1e-6), word
    assert found.model.log_backoff[1] == pytest.approx(-0.1)
    assert found.ngrams == (6, 0, 0) and found.model.order == 3
    score = score_texts(found.model, ["one nine"], 99).log_probability[0]
    assert score == pytest.approx(math.log10(5 / 15) + math.log10(1 / 15) + math.log10(4 / 15) - 0.1, abs=1e-5)


class iter_twice:  # noqa: N801 (reads as a function)
    """Texts that are no list: they come again and again, one at a time."""

    def __init__(self, texts):
        self.texts = texts

    def __iter__(self):
        return iter(self.texts)


def test_what_the_tool_is_asked_for(tmp_path):
    said = 'open("asked.txt", "w").write("\\n".join(sys.argv[1:]) + "\\n" + open("lines.txt").read())\nsys.exit(4)'
    used = tool(stand_in(tmp_path, said), tmp_path)
    with pytest.raises(KenlmError, match="ended with code 4"):
        train_kenlm(TEXTS, config(order=4, prune=(0, 0, 1)), used)
    asked = (used.folder / "asked.txt").read_text().splitlines()
    assert asked[:7] == ["-o", "4", "--prune", "0", "0", "1", "1"]
    assert asked[7:13] == ["--discount_fallback", "--skip_symbols", "-S", "500M", "-T", f"{used.folder}{os.sep}"]
    numbers = [line.split() for line in asked[-4:]]
    assert [len(line) for line in numbers] == [3, 3, 3, 2] and numbers[3][1] == "0"
    assert {word for line in numbers for word in line} == {"0", "3", "4", "5"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.stderr.write('first\\n\\nmy vocabulary\\nis full\\n')\nsys.exit(3)", r"code 3.*my vocabulary\nis full"),
        ("os.abort()", r"gave up \(signal 6\).*lmplz_memory"),
        ("os.kill(os.getpid(), signal.SIGKILL)", r"killed from outside \(signal 9\).*now 500M"),
        ("os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)", r"killed from outside \(signal 9\)"),
        ("sys.exit(0)", r"ended with code 0. It said last:\n\(nothing\)"),
    ],
)
def test_a_tool_that_fails_says_why(tmp_path, body, message):
    used = tool(stand_in(tmp_path, body), tmp_path)
    with pytest.raises(KenlmError, match="(?s)" + message):
        train_kenlm(TEXTS, config(), used)
    assert not (used.folder / "model.arpa").exists()


def test_a_program_that_cannot_run(tmp_path):
    (tmp_path / "lmplz").write_text("no program")
    with pytest.raises(KenlmError, match="Permission denied"):
        train_kenlm(TEXTS, config(), tool(tmp_path / "lmplz", tmp_path))


def test_a_full_disk_is_a_full_disk(tmp_path):
    """The runner makes `StoreFullError` of it, as of any other write."""
    body = "open(sys.argv[-1], 'w').write('half')\nsys.stderr.write(os.strerror(28) + ' while writing')\nos.abort()"
    used = tool(stand_in(tmp_path, body), tmp_path)
    with pytest.raises(OSError) as caught:
        train_kenlm(TEXTS, config(), used)
    assert caught.value.errno == errno.ENOSPC and not (used.folder / "model.arpa").exists()


def test_a_tool_that_never_ends_is_stopped_with_its_children(tmp_path):
    body = "child = subprocess.Popen(['sleep', '60'])\nopen('child', 'w').write(str(child.pid))\ntime.sleep(60)"
    used = tool(stand_in(tmp_path, body), tmp_path, seconds=1.5)
    with pytest.raises(KenlmError, match=r"not done after 1\.5 s \(`lmplz_seconds`\)"):
        train_kenlm(TEXTS, config(), used)
    assert_gone(int((used.folder / "child").read_text()))


def test_it_ends_when_we_are_killed(tmp_path):
    stand_in(tmp_path, f"open({str(tmp_path / 'pid')!r}, 'w').write(f'{{os.getpid()}} ')\ntime.sleep(60)")
    ours = (
        "from pathlib import Path\nfrom pipelines.corpus.filters.ngram_lm.kenlm import Lmplz, run_lmplz\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "run_lmplz(Lmplz(folder / 'lmplz', '1G', 60, folder), folder / 'l', folder / 'a', (0, 0))"
    )
    owner = subprocess.Popen([sys.executable, "-c", ours])
    written = tmp_path / "pid"
    for _ in range(300):
        if written.exists() and written.read_text().endswith(" "):
            break
        time.sleep(0.1)
    pid = int(written.read_text())
    assert psutil.pid_exists(pid)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert_gone(pid)


def assert_gone(pid):
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    raise AssertionError(f"{pid} lives")


def test_texts_without_a_word(tmp_path):
    with pytest.raises(ExamplesError, match="no words"):
        train_kenlm([" \n"], config(), tool(stand_in(tmp_path, RELATIVE), tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\n0\t<s>\n", "no whole"),
        ("\\data\\\nngram 1=2\n\n\\1-grams:\n0\t<s>\n\n\\end\\\n", "has not 2 lines of 1 words"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\n0\t<s> 3\n\n\\end\\\n", "has not 1 lines of 1 words"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\nx\t3\n\n\\end\\\n", "cannot be read"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\n-1\tword\n\n\\end\\\n", "cannot be read"),
        ("\\data\\\nngram 1=1\nngram 2=1\n\n\\1-grams:\n-1\t3\t0\n\n\\2-grams:\n-1\t3 9\n\n\\end\\\n", "none of ours"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\n-1\t9\n\n\\end\\\n", "none of ours"),
        (
            "\\data\\\nngram 1=1\nngram 2=0\nngram 3=1\n\n\\1-grams:\n-1\t3\t0\n\n\\2-grams:\n\n"
            "\\3-grams:\n-1\t3 3 3\n\n\\end\\\n",
            "its first 2 words are not",
        ),
    ],
)
def test_a_file_that_is_not_whole_is_refused(tmp_path, text, message):
    (tmp_path / "m.arpa").write_text(text)
    with pytest.raises(ArpaError, match=message):
        read_numbered(tmp_path / "m.arpa", 5)


def test_the_choice_is_identity_and_the_place_is_not():
    plain = config(estimator="gristmill")
    assert "estimator" not in plain.identity()  # models from before there was a choice stand
    assert config().identity() == {**plain.identity(), "estimator": "kenlm"}
    assert config(lmplz="x", lmplz_memory="50%", lmplz_seconds=9).identity() == config().identity()
    with pytest.raises(ValueError, match="lmplz_memory"):
        config(lmplz_memory="1G -o 3")
    with pytest.raises(ValueError, match="`estimator` is for a model that is made"):
        config(texts=(), arpa="m.arpa", reference=({"batches": ("any.first",)},))
