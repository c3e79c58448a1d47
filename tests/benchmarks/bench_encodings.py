"""Encodings against chardet and charset-normalizer: `python -m tests.benchmarks.bench_encodings [--rounds 5]`.

Bytes alone come in, without a declaration from outside: the 423 files of chardet's test set as they are; the same with
the declarations inside them made void; sentences of 40 languages in 30 encodings (a kilobyte each); longer ones with
three broken bytes. Right is a text that equals what the label's codec reads, or what browsers read under that label.
Printed are files and right answers by encoding, then the sums with medians of processor time. chardet is what ours asks
where neither UTF-8 nor a declaration settles it; the difference is what stands around it.
"""

import argparse
import importlib
import statistics
import time
from collections import Counter
from collections.abc import Callable

import chardet

from pipelines.corpus.extraction.encoding import codec_name, decode
from tests.pipelines.corpus.extraction.encodings import SEVERAL_BYTES, Sample, labelled_files, undeclared, written

Detector = Callable[[bytes], set[str]]


def ours(body: bytes) -> set[str]:
    return {decode(body, markup=True).text}


def by_chardet(body: bytes) -> set[str]:
    """What the name means to Python, and what it means to browsers."""
    name = chardet.detect(body)["encoding"]
    found = set()
    for codec in {name, codec_name(name or "")}:
        if codec:
            found.add(body.decode(codec, "replace").removeprefix("\ufeff"))
    return found


def detectors() -> dict[str, Detector]:
    found: dict[str, Detector] = {"ours": ours, "chardet": by_chardet}
    try:
        normalizer = importlib.import_module("charset_normalizer")
    except ImportError:
        print("charset-normalizer is not installed: pip install charset-normalizer==3.5.2")
    else:
        found["charset-normalizer"] = lambda body: {
            str(normalizer.from_bytes(body).best() or "").removeprefix("\ufeff")
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    files = labelled_files()
    broken = [sample for sample in written(10, 20, broken=3) if sample.group in SEVERAL_BYTES]
    inputs = {
        "chardet's files": files,
        "declarations void": list(undeclared(files)),
        "sentences": list(written(10, 4)),
        "broken bytes": broken,
    }
    found = detectors()
    for title, samples in inputs.items():
        right: dict[str, Counter[str]] = {name: Counter() for name in found}
        seconds: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(rounds):
            for name, detect in found.items():
                started = time.process_time()
                answers = [detect(sample.body) for sample in samples]
                seconds[name].append(time.process_time() - started)
                right[name] = Counter(s.group for s, got in zip(samples, answers, strict=True) if got & s.texts)
        _print(title, samples, right, seconds)


def _print(title: str, samples: list[Sample], right: dict[str, Counter[str]], seconds: dict[str, list[float]]) -> None:
    print(f"\n{title:<28} files " + " ".join(f"{name:>18}" for name in right))
    totals = Counter(sample.group for sample in samples)
    for group, total in sorted(totals.items()):
        print(f"{group:<28} {total:5} " + " ".join(f"{counts[group]:18}" for counts in right.values()))
    print(f"{'all':<28} {totals.total():5} " + " ".join(f"{counts.total():18}" for counts in right.values()))
    rates = [f"{statistics.median(times) / len(samples) * 1e3:14.2f} ms" for times in seconds.values()]
    print(f"{'processor time a file':<28}       " + "  ".join(rates))


if __name__ == "__main__":
    main()
