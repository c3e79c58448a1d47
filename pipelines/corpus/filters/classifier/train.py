"""Training a fastText classifier: reproducible, and in a process of its own.

In: lines with labels, in the order of training. Out: the model file. fasttext 0.9.3 leaves part of its input matrix
uninitialised: freshly mapped pages are zero, recycled ones are not, and then it ends in "Encountered NaN" or learns
from leftovers. So it trains in a new process whose allocator maps every large block (`MALLOC_MMAP_THRESHOLD_=4096`),
with one thread: the same lines give the same bytes. Cost: about a million words a second and epoch at width 32; memory
is the model's size.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import Algorithm
from pipelines.core.seeds import derive, generator
from pipelines.corpus.filters.classifier.text import LABEL

TRAIN: Final = Algorithm("fasttext_training", 1)

_CHILD: Final = """
import json, os, sys, threading

def follow():
    while os.read(0, 1):
        pass
    os._exit(1)

settings = json.loads(sys.argv[1])
threading.Thread(target=follow, daemon=True).start()
import fasttext
model = fasttext.train_supervised(thread=1, verbose=0, loss="softmax", **settings)
model.save_model(sys.argv[2])
"""
"""Its standard input stays open as long as its parent lives: the end of it is the end of the child."""


class TrainingError(GristmillError, RuntimeError):
    """fastText could not train on what it was given."""


def train_fasttext(lines: Iterable[tuple[str, str]], folder: Path, settings: dict[str, Any]) -> Path:
    """Train on (label, line) pairs; returns the path of the model in `folder`, which must be empty and is the caller's.

    `settings` are arguments of `fasttext.train_supervised`. Raises `TrainingError` with fastText's last words.
    """
    data, model = folder / "examples.txt", folder / "model.bin"
    with data.open("w", encoding="utf-8", newline="\n") as stream:
        for label, line in lines:
            stream.write(f"{LABEL}{label} {line}\n")
    command = ["env", "MALLOC_MMAP_THRESHOLD_=4096", sys.executable, "-c", _CHILD]
    child = subprocess.Popen(
        [*command, json.dumps({**settings, "input": str(data)}), str(model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None and child.stdin is not None
    try:
        said = child.stderr.read()
        code = child.wait()
    finally:
        child.kill()
        child.stdin.close()
        child.wait()
    data.unlink()
    if code or not model.is_file():
        last = (said.strip().splitlines() or ["no message"])[-1]
        raise TrainingError(f"fastText ended with code {code}: {last}")
    return model


def training_order(labels: list[str], seed: int, balance: bool) -> list[int]:
    """Indices of the examples as they are trained on: shuffled, the smaller classes repeated up to the largest."""
    places: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        places.setdefault(label, []).append(index)
    largest = max(map(len, places.values()), default=0)
    order: list[int] = []
    for label in sorted(places):
        mine = places[label]
        shuffled = generator(seed, "examples", label).permutation(len(mine))
        wanted = largest if balance else len(mine)
        order += [mine[shuffled[number % len(mine)]] for number in range(wanted)]
    return [order[index] for index in generator(seed, "order").permutation(len(order))]


def fasttext_seed(seed: int) -> int:
    """A seed that fits fastText's int."""
    return derive(seed, "fasttext") % (2**31 - 1)
