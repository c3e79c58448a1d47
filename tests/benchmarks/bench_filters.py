"""The filters against datatrove and data-juicer, side by side on the same documents:

    python -m tests.benchmarks.bench_filters --datatrove PEER/bin/python [--juicer PEER/bin/python]

(`datatrove_peer.py` and `juicer_peer.py` say how to make their environments; GRISTMILL_SHARED_DATA names the
documents.)

Each side is a process of its own that is asked in turn, `--rounds` times, after one run of each that is not counted;
the ratio is that of each pair, printed as median [least - greatest]. A faster side repeats its work until it has had
`LEAST_SECONDS` and gives the mean, so that both see the same weather. Per core: both sides held to the same one core,
processor seconds of the process and its children. Two workers: all cores, seconds on the wall, two processes a side
with half of the documents each. Ours is always the full set of signals and every verdict, with `unspaced: runs`, the
segmentation that is comparable; datatrove's chain exits early, as it does in use. Documents: every n-th of the six
domains of the mixture, `--megabytes` in all.

1. *verdicts*: each of the 32 rules alone on each document as it came; the ratio counts when every rule agrees on 99 %.
2. *chain*: text to verdicts, word segmentation on both sides.
3. *each*: as 2, but datatrove judges every document by all four filters.
4. *rules*: as 3 with identical words on both sides (datatrove's; words and sentences made beforehand).
5. *archive*: a gzipped WARC to filtered text, end to end, pages extracted in a process that can be killed on both
   sides, whose processor seconds count; *one process*: ours without that isolation.
6. *juicer*: data-juicer's eight nearest filters against our full set.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from pipelines.core.decisions import decide
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.extraction.extract import DocumentContext, UnitFile, extract_unit
from pipelines.corpus.filters.blocks import text_blocks
from pipelines.corpus.filters.characters import running_flags
from pipelines.corpus.filters.config import StatisticsConfig
from pipelines.corpus.filters.presets import PRESETS
from pipelines.corpus.filters.statistics import statistics_part, statistics_table
from pipelines.corpus.filters.words import Words, given_words
from resources.extractor import isolated
from tests.pipelines.corpus.filters.corpus import DOMAINS, documents, mixture
from tests.shared_data import shared

CONFIG = StatisticsConfig(unspaced="runs")
EXTRACTION = ExtractionConfig()
RULES = [rule for name in ("gopher", "c4_any_ending", "fineweb", "c4") for rule in PRESETS[name]]
CHAIN = [rule for name in ("gopher", "c4_any_ending", "fineweb") for rule in PRESETS[name]]
PEERS = Path(__file__).parent
CORES = set(psutil.Process().cpu_affinity())
REPEATED = {"chain", "rules", "archive", "archive_here"}
LEAST_SECONDS = 3.0
WANTED = 0.99


class Side:
    """A process that answers commands with JSON lines."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hold_to({min(CORES)})

    def hold_to(self, cores: set[int]) -> None:
        """Let the process and its children run on these cores only."""
        for process in (parent := psutil.Process(self.process.pid), *parent.children(recursive=True)):
            process.cpu_affinity(list(cores))

    def send(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        raise RuntimeError(f"{self.process.args!r} ended without an answer")

    def ask(self, command: str) -> dict[str, Any]:
        self.send(command)
        return self.answer()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Ours:
    """Our side of the conversation."""

    def __init__(self) -> None:
        self.table = documents([])
        self.words: list[Words] = []

    def prepare(self, name: str, argument: str) -> None:
        if name == "load":
            self.table = documents(read(argument))
            self.run("chain", "")
        elif name == "words":
            lists = read(argument)
            blocks = text_blocks(self.table.column("text"))
            self.words = [
                given_words(b, lists[b.first : b.first + len(b.offsets) - 1], running_flags()) for b in blocks
            ]

    def run(self, name: str, argument: str) -> int:
        if name == "chain":
            table = statistics_part({"documents": self.table}, CONFIG).tables["statistics"]
        elif name == "rules":
            words = iter(self.words)
            table = statistics_table(self.table, CONFIG, lambda block: next(words))
        elif name.startswith("archive"):
            context = DocumentContext("bench", "one", "web")
            run = None if name == "archive_here" else isolated(EXTRACTION, context)
            files = [UnitFile(Path(argument), "a")]
            parts = extract_unit(files, "bench.one", context, ReaderConfig(format="warc"), EXTRACTION, run=run)
            kept = 0
            for part in parts:
                signals = statistics_part(part.tables, CONFIG).tables["statistics"]
                kept += len(part.tables["documents"].filter(decide(signals, CHAIN).column("kept")))
            return kept
        else:
            return 0
        return int(pa.compute.sum(decide(table, CHAIN).column("kept")).as_py() or 0)


def serve() -> None:
    side = Ours()
    for command in sys.stdin:
        name, _, argument = command.strip().partition(" ")
        side.prepare(name, argument)
        start, wall, repeats, kept = processor_seconds(), time.perf_counter(), 0, 0
        while not repeats or (name in REPEATED and time.perf_counter() - wall < LEAST_SECONDS):
            kept = side.run(name, argument)
            repeats += 1
        seconds, wall = (processor_seconds() - start) / repeats, (time.perf_counter() - wall) / repeats
        peak = high_water()
        print(json.dumps({"seconds": seconds, "wall": wall, "kept": kept, "peak": peak}), flush=True)


def processor_seconds() -> float:
    """Of this process and its children. The one that extracts starts in the run that does not count."""
    children = (child.cpu_times() for child in psutil.Process().children(recursive=True))
    return time.process_time() + sum(times.user + times.system for times in children)


def high_water() -> int:
    """Peak resident bytes of this process. Not `ru_maxrss`, which a child starts with its parent's value of."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def read(path: str) -> list[Any]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").split("\n") if line]


def write(path: Path, values: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), "utf-8")
    return path


def sample(megabytes: float) -> list[str]:
    """Every n-th document of each domain, n the same for all."""
    whole = [text for domain in DOMAINS for text in mixture(domain, 1_000_000)]
    step = max(1, round(sum(len(text.encode()) for text in whole) / 1e6 / megabytes))
    return whole[::step]


def agreement(texts: Sequence[str], verdicts: Sequence[dict[str, Any]]) -> dict[str, list[int]]:
    """For each rule the documents on which our verdict is another one; `any` is the union."""
    table = statistics_part({"documents": documents(list(texts))}, CONFIG).tables["statistics"]
    failed = [{item["rule"] for item in row} for row in decide(table, RULES).column("failed").to_pylist()]
    differing: dict[str, list[int]] = {name: [] for name in (*verdicts[0], "any")}
    for number, answers in enumerate(verdicts):
        wrong = [
            name
            for name, theirs in answers.items()
            if theirs is not (not any(rule in failed[number] for rule in name.split("|")))
        ]
        for name in [*wrong, "any"] if wrong else []:
            differing[name].append(number)
    return differing


def spread(values: Sequence[float], digits: int = 1) -> str:
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f} - {max(values):.{digits}f}]"


def paired(
    label: str, megabytes: float, rounds: int, ours: Side, peer: Side, commands: tuple[str, str], key: str
) -> None:
    """Ask both in turn and print the ratio of their times."""
    times: tuple[list[float], list[float]] = ([], [])
    kept = [0, 0]
    for number in range(rounds + 1):
        for slot, (side, command) in enumerate(zip((ours, peer), commands, strict=True)):
            answer = side.ask(command)
            kept[slot] = answer["kept"]
            if number:
                times[slot].append(answer[key])
    ratios = [theirs / own for own, theirs in zip(*times, strict=True)]
    rates = [spread([megabytes / seconds for seconds in side], 2) for side in times]
    print(f"{label:<22} ours {rates[0]} MB/s, peer {rates[1]} MB/s, kept {kept[0]} / {kept[1]}: ratio {spread(ratios)}")


def two_workers(
    megabytes: float, rounds: int, ours: Sequence[Side], peers: Sequence[Side], command: str, label: str
) -> None:
    """Print the ratio of seconds on the wall, of the slower of a side's two processes, which get a command at once."""
    times: tuple[list[float], list[float]] = ([], [])
    for side in (*ours, *peers):
        side.hold_to(CORES)
    for number in range(rounds + 1):
        for slot, sides in enumerate((ours, peers)):
            for side in sides:
                side.send(command)
            walls = [side.answer()["wall"] for side in sides]
            if number:
                times[slot].append(max(walls))
    ratios = [theirs / own for own, theirs in zip(*times, strict=True)]
    rates = [spread([megabytes / seconds for seconds in side], 2) for side in times]
    print(f"{label:<22} ours {rates[0]} MB/s, peer {rates[1]} MB/s on the wall: ratio {spread(ratios)}")


def bench(peer: str, juicer: str | None, megabytes: float, rounds: int, folder: Path) -> None:
    texts = sample(megabytes)
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} documents, {size:.1f} MB, {rounds} pairs, load {os.getloadavg()[0]:.1f}")
    whole = write(folder / "texts.jsonl", texts)
    halves = [write(folder / f"half{number}.jsonl", texts[number::2]) for number in range(2)]
    trove = [peer, str(PEERS / "datatrove_peer.py")]
    for command in ("verdicts", "words"):
        subprocess.run([*trove, command, str(whole), str(folder / command)], check=True)
    differing = agreement(texts, read(str(folder / "verdicts")))
    lowest = 1 - max(len(found) for name, found in differing.items() if name != "any") / len(texts)
    together = 1 - len(differing["any"]) / len(texts)
    counts = "count" if lowest >= WANTED else "DO NOT COUNT"
    print(f"verdicts: every rule agrees on {lowest:.2%} of the documents or more, all together on {together:.2%}")
    print(f"          so the ratios {counts}; documents that differ, by rule:")
    for name, found in differing.items():
        if found and name != "any":
            print(f"  {name}: {len(found)}")
    own = [sys.executable, "-m", "tests.benchmarks.bench_filters", "--serve"]
    ours, theirs = Side(own), Side([*trove, "serve"])
    for side in (ours, theirs):
        side.ask(f"load {whole}")
    paired("chain, one core", size, rounds, ours, theirs, ("chain", "chain"), "seconds")
    peaks = [side.ask("nothing")["peak"] / 1e6 for side in (ours, theirs)]
    print(f"peak memory            ours {peaks[0]:.0f} MB, datatrove {peaks[1]:.0f} MB")
    paired("each, one core", size, rounds, ours, theirs, ("chain", "each"), "seconds")
    ours.ask(f"words {folder / 'words'}")
    paired("rules, same words", size, rounds, ours, theirs, ("rules", "rules"), "seconds")
    archive = folder / "pages.warc.gz"
    archive.symlink_to(shared("html_gold/real-pages.warc.gz").resolve())
    size_packed = archive.stat().st_size / 1e6
    for label, command in (("archive, end to end", "archive"), ("archive, one process", "archive_here")):
        commands = (f"{command} {archive}", f"archive {archive}")
        paired(label, size_packed, rounds, ours, theirs, commands, "seconds")
    peaks = [side.ask("nothing")["peak"] / 1e6 for side in (ours, theirs)]
    print(f"peak memory, all runs  ours {peaks[0]:.0f} MB, datatrove {peaks[1]:.0f} MB")
    second = [Side(own), Side([*trove, "serve"])]
    for pair in zip((ours, theirs), second, strict=True):
        for side, half in zip(pair, halves, strict=True):
            side.ask(f"load {half}")
    two_workers(size, rounds, (ours, second[0]), (theirs, second[1]), "chain", "chain, two workers")
    command = f"archive {archive}"
    two_workers(2 * size_packed, rounds, (ours, second[0]), (theirs, second[1]), command, "archive, two workers")
    for side in (*second, theirs):
        side.close()
    if juicer:
        nearest = [Side([juicer, str(PEERS / "juicer_peer.py")]) for _ in range(2)]
        extra = Side(own)
        ours.hold_to({min(CORES)})
        ours.ask(f"load {whole}")
        nearest[0].ask(f"load {whole}")
        paired("data-juicer, one core", size, rounds, ours, nearest[0], ("chain", "chain"), "seconds")
        print(f"peak memory            data-juicer {nearest[0].ask('nothing')['peak'] / 1e6:.0f} MB")
        for side, half in zip((ours, extra, *nearest), halves * 2, strict=True):
            side.ask(f"load {half}")
        two_workers(size, rounds, (ours, extra), nearest, "chain", "data-juicer, two")
        for side in (extra, *nearest):
            side.close()
    ours.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", action="store_true", help="answer commands (what the benchmark starts itself)")
    parser.add_argument("--datatrove", help="the Python of datatrove's environment")
    parser.add_argument("--juicer", help="the Python of data-juicer's environment")
    parser.add_argument("--megabytes", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
    elif not arguments.datatrove:
        parser.error("--datatrove names the Python of an environment with datatrove: datatrove_peer.py says how")
    else:
        with tempfile.TemporaryDirectory() as folder:
            bench(arguments.datatrove, arguments.juicer, arguments.megabytes, arguments.rounds, Path(folder))


if __name__ == "__main__":
    main()
