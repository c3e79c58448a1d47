"""Resident memory as input grows: the corpus and token stages on 1x and 10x of one kind of text.

    python -m tests.benchmarks.bench_memory [--megabytes 20] [--factor 10] [--workers 2] [--part-megabytes 8]

Each size runs from files to token arrays in a home and a process tree of its own. Resident memory of the whole tree is
sampled ten times a second and booked on the stage that was told last; pages that processes share count once a process.
Text: sentences of the shared mixture drawn at random into documents of 5 to 80 sentences, so that repetition, words and
scripts are real and documents are no duplicates of each other.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import psutil
import yaml
import zstandard

from tests.shared_data import ROOT as DATA

ROOT = Path(__file__).resolve().parents[2]
MIXTURE = ("web_en", "books_en", "wiki_en", "math_science", "zh_general")
SAMPLE_SECONDS = 0.1
_STAGE = re.compile(r"  ([a-z0-9_/]+): \d+/\d+")


class Measured(NamedTuple):
    """One run; `stages` is the peak of the tree in bytes by the stage that was told last."""

    megabytes: float
    documents: int
    seconds: float
    peak: int
    largest: int
    stages: dict[str, int]


def sentences() -> list[str]:
    """Sentences of the shared mixture, in file order."""
    found: list[str] = []
    for name in MIXTURE:
        data = (DATA / "mixture" / f"{name}.jsonl.zst").read_bytes()
        for line in zstandard.ZstdDecompressor().stream_reader(data).read().splitlines():
            pieces = re.split(r"(?<=[.!?])\s+|(?<=[。！？])|\n+", json.loads(line)["text"])
            found += [piece for piece in pieces if 20 <= len(piece) <= 400]
    return found


def write_text(folder: Path, pool: list[str], megabytes: float) -> int:
    """One JSONL file of at least `megabytes`; returns its documents."""
    generator = random.Random(1)
    folder.mkdir(parents=True)
    documents = 0
    with (folder / "text.jsonl").open("wb") as stream:
        while stream.tell() < megabytes * 1e6:
            text = " ".join(generator.choices(pool, k=generator.randint(5, 80)))
            stream.write(json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n")
            documents += 1
    return documents


def write_project(folder: Path, part_megabytes: float) -> Path:
    """Everything up to token arrays, with the default rules of English and without a lane."""
    project = {
        "project": "memory",
        "corpus": {
            "sources": {
                "text": {
                    "domain": "text",
                    "licence": "mixed",
                    "path": "text",
                    "reader": {"format": "jsonl"},
                    "filter": {"presets": ["gopher_quality"], "flagged": ["gopher_min_stop_words"]},
                }
            },
            "extraction": {"part_bytes": int(part_megabytes * 2**20)},
            "signals": {"language": {"model": str(DATA / "models" / "lid176" / "lid.176.ftz")}},
        },
        "tokenizers": {"bpe": {"model": {"kind": "trained", "vocab_size": 8192, "sample_characters": 2_000_000}}},
    }
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(project))
    return path


def measure(folder: Path, pool: list[str], megabytes: float, workers: int, part_megabytes: float) -> Measured:
    """One fresh home and process tree over `megabytes` of text. Raises when the run fails."""
    documents = write_text(folder / "text", pool, megabytes)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("GRISTMILL", "DAGSTER"))},
        "GRISTMILL_HOME": str(folder / "home"),
        "GRISTMILL_PROJECT": str(write_project(folder, part_megabytes)),
        "GRISTMILL_WORKERS": str(workers),
    }
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "assets.cli", "run"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(process.stderr or ()), daemon=True)
    reader.start()
    stages: dict[str, int] = defaultdict(int)
    largest = 0
    tree = psutil.Process(process.pid)
    while process.poll() is None:
        sizes = [_resident(member) for member in (tree, *_children(tree))]
        stage = next((found.group(1) for line in reversed(told[-20:]) if (found := _STAGE.match(line))), "start")
        stages[stage] = max(stages[stage], sum(sizes))
        largest = max(largest, *sizes)
        time.sleep(SAMPLE_SECONDS)
    reader.join()
    if process.returncode:
        raise RuntimeError("".join(told[-20:]))
    return Measured(megabytes, documents, time.monotonic() - started, max(stages.values()), largest, dict(stages))


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def report(runs: list[Measured]) -> str:
    """The figures as text: a line a run, then a line a stage with the ratio."""
    lines = [f"{'input':>10}{'documents':>12}{'seconds':>9}{'MB/s':>7}{'peak, tree':>12}{'peak, process':>15}"]
    lines += [
        f"{run.megabytes:>7.0f} MB{run.documents:>12,}{run.seconds:>9.1f}{run.megabytes / run.seconds:>7.2f}"
        f"{run.peak / 1e6:>9,.0f} MB{run.largest / 1e6:>12,.0f} MB"
        for run in runs
    ]
    small, large = runs[0], runs[-1]
    times = large.megabytes / small.megabytes
    more = (large.peak - small.peak) / 1e6
    lines.append(
        f"{times:.0f} times the input: {large.peak / small.peak:.2f} times the memory, {more:+,.0f} MB, "
        f"{more / (large.megabytes - small.megabytes):.2f} MB for each further MB of input"
    )
    lines += ["", f"{'stage told last':<32}" + "".join(f"{run.megabytes:>9.0f} MB" for run in runs) + f"{'ratio':>8}"]
    for stage in large.stages:
        sizes = [run.stages.get(stage, 0) for run in runs]
        ratio = f"{sizes[-1] / sizes[0]:>8.2f}" if sizes[0] else f"{'-':>8}"
        lines.append(f"{stage:<32}" + "".join(f"{size / 1e6:>9,.0f} MB" for size in sizes) + ratio)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Resident memory of the corpus stages on 1x and 10x of one input.")
    parser.add_argument("--megabytes", type=float, default=20.0, help="size of the smaller input (default 20)")
    parser.add_argument("--factor", type=float, default=10.0, help="the larger input is so many times it (default 10)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--part-megabytes", type=float, default=8.0)
    options = parser.parse_args()
    if not (DATA / "mixture").is_dir():
        sys.exit("bench_memory draws its text from the shared data: set GRISTMILL_SHARED_DATA to their folder")
    pool = sentences()
    print(f"{len(pool):,} sentences, parts of {options.part_megabytes:g} MiB, {options.workers} workers", flush=True)
    runs = []
    for megabytes in (options.megabytes, options.megabytes * options.factor):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(measure(Path(folder), pool, megabytes, options.workers, options.part_megabytes))
            print(f"{megabytes:g} MB done in {runs[-1].seconds:.0f} s", flush=True)
    print(report(runs))


if __name__ == "__main__":
    main()
