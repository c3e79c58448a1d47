"""Our Kneser-Ney against KenLM's `lmplz` on the same texts: seconds and peak memory of each in a process of its own.

    python -m tests.benchmarks.bench_language_model [--domain zh_general] [--times 3] [--order 5] [--memory 1G]

Both read the same texts from memory, cut the same words and end with the same arrays; KenLM's memory is the larger of
its own and of the process that feeds and reads it. The tool: GRISTMILL_LMPLZ, or `lmplz` on PATH.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipelines.corpus.filters.ngram_lm.config import LanguageModelConfig
from pipelines.corpus.filters.ngram_lm.kenlm import Lmplz, train_kenlm
from pipelines.corpus.filters.ngram_lm.train import train_ngrams
from resources.lmplz import find_lmplz
from tests.pipelines.corpus.filters.corpus import mixture


def one(estimator: str, domain: str, order: int, memory: str, repeat: int) -> dict[str, float]:
    """Train once in this process."""
    texts = mixture(domain, 1_000_000) * repeat
    config = LanguageModelConfig(order=order, texts=({"batches": ("any.first",)},))
    program = find_lmplz(None, Path())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        train_ngrams(texts[:1], config)  # kernels are compiled before the clock starts
        started = time.perf_counter()
        if estimator == "kenlm":
            if program is None:
                raise SystemExit("lmplz is not here: name it in GRISTMILL_LMPLZ")
            trained = train_kenlm(texts, config, Lmplz(program, memory, 3600, Path(folder)))
        else:
            trained = train_ngrams(texts, config)
        seconds = time.perf_counter() - started
    usage = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    found = {"seconds": seconds, "words": trained.tokens, "ngrams": sum(trained.ngrams), "texts": before / 1024}
    return {**found, "own": usage[0], "tool": usage[1]}


def main() -> None:
    """Print a line for each estimator and the ratio of their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domain", default="zh_general")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--memory", default="1G")
    parser.add_argument("--repeat", type=int, default=1, help="the texts this many times over")
    parser.add_argument("--one", choices=("gristmill", "kenlm"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    settings = (asked.domain, asked.order, asked.memory, asked.repeat)
    if asked.one:
        print(json.dumps(one(asked.one, *settings)))
        return
    runs: dict[str, list[dict[str, float]]] = {"gristmill": [], "kenlm": []}
    for _ in range(asked.times):
        for name, done in runs.items():
            command = [sys.executable, "-m", __spec__.name, "--one", name, *sys.argv[1:]]
            done.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    for name, done in runs.items():
        times = sorted(item["seconds"] for item in done)
        first = done[0]
        print(
            f"{name}: {first['words']:,} words, {first['ngrams']:,} n-grams; {statistics.median(times):.1f} s "
            f"({times[0]:.1f} to {times[-1]:.1f}); peak {max(item['own'] for item in done):.0f} MB here, "
            f"{max(item['tool'] for item in done):.0f} MB the tool; texts and libraries {first['texts']:.0f} MB"
        )
    medians = [statistics.median(item["seconds"] for item in done) for done in runs.values()]
    print(f"ours takes {medians[0] / medians[1]:.2f} times KenLM's time")


if __name__ == "__main__":
    main()
