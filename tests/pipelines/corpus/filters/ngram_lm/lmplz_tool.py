"""KenLM's real tool where this machine has it, and stand-ins for it: small programs that do one thing wrong."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from pipelines.corpus.filters.ngram_lm.kenlm import Lmplz

RELATIVE = """
from collections import Counter
text, arpa = (sys.argv[sys.argv.index(name) + 1] for name in ("--text", "--arpa"))
order = int(sys.argv[sys.argv.index("-o") + 1])
lines = [["<s>", *line.split(), "</s>"] for line in open(text)]
counts = Counter(word for line in lines for word in line if word != "<s>")
total = sum(counts.values())
with open(arpa, "w") as out:
    print("\\\\data\\\\", f"ngram 1={len(counts) + 2}", sep="\\n", file=out)
    for n in range(2, order + 1):
        print(f"ngram {n}=0", file=out)
    print("\\n\\\\1-grams:", "-9\\t<unk>\\t0", "0\\t<s>\\t-0.1", sep="\\n", file=out)
    for word, count in counts.items():
        print(f"{math.log10(count / total)}\\t{word}\\t0", file=out)
    for n in range(2, order + 1):
        print(f"\\n\\\\{n}-grams:", file=out)
    print("\\n\\\\end\\\\", file=out)
"""
"""A tool that does write a model: unigrams as often as they occur, nothing longer."""


def stand_in(folder: Path, body: str) -> Path:
    """A program that runs `body`; math, os, signal, subprocess, sys and time are imported."""
    path = folder / "lmplz"
    path.write_text(f"#!{sys.executable}\nimport math, os, signal, subprocess, sys, time\n{body}", "utf-8")
    path.chmod(0o755)
    return path


def real_lmplz() -> Path:
    """The real tool, or the test is skipped."""
    found = os.environ.get("GRISTMILL_LMPLZ") or shutil.which("lmplz")
    if found is None:
        pytest.skip("KenLM's lmplz is not here: put it on PATH, or name it in GRISTMILL_LMPLZ")
    return Path(found)


def tool(program: Path, folder: Path, seconds: float = 300.0) -> Lmplz:
    """`program` with an empty folder to work in."""
    work = folder / "work"
    work.mkdir()
    return Lmplz(program, "500M", seconds, work)
