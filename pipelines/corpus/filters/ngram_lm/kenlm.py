"""Training an n-gram model with KenLM's `lmplz`, which sorts on disk: texts to the same flat model that we estimate.

In: texts, read twice. 1. Count words; those seen less than `min_count` times are unknown, as in `train.py`. 2. Write
the lines with numbers in the place of words (the model's ids, 0 for every unknown word): no spelling can then meet a
symbol or a separator of the tool, and both estimators count the same events. 3. Run the tool in a folder of ours, with
a limit of time; it ends when we do. 4. Read its ARPA file by columns. Out: `TrainedNgrams`.

Where it differs from ours: (a) `lmplz` takes `<unk>` out of its input, so our unknown words are an ordinary word to it,
and it adds an `<unk>` that never occurs: that one is dropped, and unigrams are interpolated with a vocabulary larger by
one: log10(1 + 1 / V) at most, nothing without unknown words. (b) In the tallies for the discounts it takes the last
n-gram of each lower order with its occurrences for its adjusted count (the end of `AdjustCounts::Run`), so a t_k can be
off by one: 2e-3 in log10 at worst on 60 short texts, nothing to see on a million words.

Cost, on 4.3 million Chinese words at order 5 (`tests/benchmarks/bench_language_model.py`): 1.2 times our estimator's
time, 599 MB and 359 MB in the tool against 1,119 MB. What is left in memory is the vocabulary, one block of texts, what
the tool may sort in, and the pruned model when it is read (some 200 bytes an n-gram).
"""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.blocks import I64, U64
from pipelines.corpus.filters.labelled.examples import ExamplesError
from pipelines.corpus.filters.ngram_lm.config import LanguageModelConfig
from pipelines.corpus.filters.ngram_lm.counts import SPECIAL
from pipelines.corpus.filters.ngram_lm.model import flat, word_ids
from pipelines.corpus.filters.ngram_lm.numbered_arpa import read_numbered
from pipelines.corpus.filters.ngram_lm.train import TrainedNgrams, blocks_of, known_words, spell

KENLM: Final = Algorithm("kenlm_training", 1)

LAST_LINES: Final = 5
"""Lines of what the tool said that an error repeats."""
_CHILD: Final = """
import os, signal, subprocess, sys, threading

def follow():
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)

threading.Thread(target=follow, daemon=True).start()
try:
    tool = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
except OSError as error:
    sys.exit(f"{error.strerror or error}")
code = tool.wait()
os._exit(code if code >= 0 else 128 - code)
"""
"""Leads a process group of its own with the tool in it. Its standard input stays open as long as its parent lives: the
end of it is the end of the group."""


class KenlmError(GristmillError, RuntimeError):
    """`lmplz` is not there, or did not do its work; the message has its last words."""


class Lmplz(NamedTuple):
    """The tool as this machine has it: the program, what it may sort in (as GNU sort writes sizes), seconds, and an
    empty folder of the caller's for what it writes."""

    program: Path
    memory: str
    seconds: float
    folder: Path


def train_kenlm(texts: Iterable[str], config: LanguageModelConfig, tool: Lmplz) -> TrainedNgrams:
    """Estimate a model with `tool`. `texts` can be iterated twice; no more than a few are held at a time.

    Raises `ExamplesError` for texts without a word, `KenlmError`, and `OSError` for a full disk.
    """
    counted = _count(texts, config)
    kept = known_words(counted.distinct, counted.counts, counted.spelled, config.min_count)
    lines, arpa = tool.folder / "lines.txt", tool.folder / "model.arpa"
    names = [str(number) for number in range(len(kept) + len(SPECIAL))]
    with lines.open("w", encoding="ascii", newline="\n") as stream:
        for block in blocks_of(texts, config.train_characters):
            words = [names[number] for number in word_ids(block.hashes, kept).tolist()]
            places = block.offsets.tolist()
            stream.writelines(" ".join(words[start:stop]) + "\n" for start, stop in pairwise(places))
    run_lmplz(tool, lines, arpa, config.thresholds())
    lines.unlink()
    levels = read_numbered(arpa, len(names))
    arpa.unlink()
    return TrainedNgrams(
        flat(levels, kept),
        [counted.spelled[value] for value in kept.tolist()],
        tuple(len(level.word) for level in levels),
        int(counted.counts.sum()),
        max(len(counted.distinct) - len(kept), 1),
    )


class _Counted(NamedTuple):
    distinct: U64
    counts: I64
    spelled: dict[int, str]


def _count(texts: Iterable[str], config: LanguageModelConfig) -> _Counted:
    """The different words, how often they occur, and their spellings."""
    distinct, counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    spelled: dict[int, str] = {}
    for block in blocks_of(texts, config.train_characters):
        spell(block, spelled)
        found, times = np.unique(block.hashes, return_counts=True)
        merged, which = np.unique(np.concatenate([distinct, found]), return_inverse=True)
        counts = np.bincount(which, np.concatenate([counts, times]), len(merged)).astype(np.int64)
        distinct = merged
    if not len(distinct):
        raise ExamplesError("the texts of the language model have no words")
    return _Counted(distinct, counts, spelled)


def run_lmplz(tool: Lmplz, lines: Path, arpa: Path, thresholds: tuple[int, ...]) -> None:
    """Write the model of `lines` to `arpa`, or raise with what the tool said last and leave no `arpa`."""
    command = [str(tool.program), "-o", str(len(thresholds)), "--prune", *map(str, thresholds)]
    command += ["--discount_fallback", "--skip_symbols", "-S", tool.memory, "-T", f"{tool.folder}{os.sep}"]
    command += ["--text", str(lines), "--arpa", str(arpa)]
    log = tool.folder / "lmplz.log"
    with log.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-I", "-c", _CHILD, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=tool.folder,
            start_new_session=True,
        )
        assert child.stdin is not None
        try:
            code = child.wait(tool.seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end_group(child.pid)
            child.stdin.close()
            child.wait()
    said = log.read_bytes().decode("utf-8", "replace")
    log.unlink()
    if code == 0 and arpa.is_file():
        return
    arpa.unlink(missing_ok=True)
    if os.strerror(errno.ENOSPC) in said or os.strerror(errno.EFBIG) in said:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tool.folder))
    last = "\n".join([line for line in said.splitlines() if line.strip(" -=*0123456789")][-LAST_LINES:])
    raise KenlmError(f"{tool.program.name} {_ending(code, tool)}. It said last:\n{last or '(nothing)'}")


def _end_group(leader: int) -> None:
    """The tool and all that it started: a wrapper script ends and leaves its children."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # all of it has ended (macOS says the latter of a zombie)
        return


def _ending(code: int | None, tool: Lmplz) -> str:
    if code is None:
        return f"was not done after {tool.seconds:g} s (`lmplz_seconds`) and was stopped"
    killed = code - 128 if code > 128 else -code
    if killed in (signal.SIGKILL, signal.SIGTERM):
        return (
            f"was killed from outside (signal {killed}), most often for memory: give it less to sort in "
            f"(`lmplz_memory`, now {tool.memory}), or stop what runs beside it"
        )
    if killed in (signal.SIGABRT, signal.SIGSEGV):
        return f"gave up (signal {killed}); it was allowed {tool.memory} to sort in (`lmplz_memory`)"
    return f"ended with code {code}"
