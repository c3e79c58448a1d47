"""Reading batches of a split mixture against whole sources: `python -m tests.benchmarks.bench_mixture [--median 400]`.

Both read the same arrays in 13 streams: 13 sources of 20,000 documents each, or their domain split by 13 topics.
Lengths are log-normal with the median `--median` tokens; topics are drawn at random, which leaves the shortest runs.
Batches of 32 sequences, 512 and 2,048 tokens long, 120 steps in turn, five times. Printed are medians of milliseconds
of processor time a batch, and the ratio of the pairs as median [least - greatest]. Then what making the split costs:
labels joined and runs found, in documents a second, and bytes a document.
"""

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.tokens.arrays.reader import TokenArray
from pipelines.tokens.mixture.build import build_mixture
from pipelines.tokens.mixture.config import MixtureConfig
from pipelines.tokens.mixture.dataset import MixtureDataset
from pipelines.tokens.mixture.spec import PartTokens, Piece
from pipelines.tokens.mixture.split import labels_of, pieces_of

PARTS, DOCUMENTS, ROUNDS, STEPS, ROWS = 13, 20_000, 5, 120, 32
"""As many topics as parts, each of which is a source."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--median", type=int, default=400, help="tokens of the median document")
    arguments = parser.parse_args()
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        parts, indexes, signals = [], {}, {}
        for number in range(PARTS):
            drawn = np.maximum(random.lognormal(np.log(arguments.median), 1.0, DOCUMENTS), 2)
            lengths = np.minimum(drawn, 100_000).astype(np.int32)
            tokens = random.integers(1, 30_000, int(lengths.sum()), dtype="<u2")
            tokens[np.cumsum(lengths) - 1] = 0
            (Path(folder) / str(number)).write_bytes(tokens.tobytes())
            ids = pa.array([bytes(row) for row in random.integers(0, 256, (DOCUMENTS, 16), np.uint8)], pa.binary(16))
            indexes[str(number)] = pa.table({"id": ids, "length": lengths})
            topics = [f"topic{number:02}" for number in random.integers(0, PARTS, DOCUMENTS)]
            signals[str(number)] = pa.table({"id": ids, "topic": pa.array(topics, pa.large_string())})
            parts.append(PartTokens("web.1", str(number), str(number), f"web{number}", "web", len(tokens), DOCUMENTS))
        arrays = {part.digest: TokenArray(Path(folder) / part.part, "<u2") for part in parts}

        def divide(part: PartTokens) -> list[Piece]:
            return pieces_of(part, labels_of(indexes[part.part], signals[part.part], "topic"))

        print(
            f"{PARTS * DOCUMENTS:,} documents, {sum(part.tokens for part in parts):,} tokens, median {arguments.median}"
        )
        for length, packing in ((512, "concat"), (2048, "concat"), (512, "best_fit"), (2048, "best_fit")):
            made = {}
            for split, by in (({}, "source"), ({"web": "topic"}, "domain")):
                config = MixtureConfig(split=split, by=by, sequence_length=length, packing=packing)
                mixture = build_mixture(
                    parts, config, ROWS * STEPS, None, lambda part: indexes[part.part]["length"].to_numpy(), divide
                )
                open_part = partial(lambda part: arrays[part.digest])
                made[bool(split)] = MixtureDataset(
                    mixture.spec, mixture.parts, open_part, 0, mixture.rows, mixture.selections
                )
            seconds: dict[bool, list[float]] = {False: [], True: []}
            for dataset in made.values():
                dataset.batch(0, ROWS)
            for _ in range(ROUNDS):
                for split, dataset in made.items():
                    start = time.process_time()
                    for step in range(STEPS):
                        dataset.batch(step, ROWS)
                    seconds[split].append((time.process_time() - start) / STEPS * 1000)
            ratios = sorted(split / whole for whole, split in zip(seconds[False], seconds[True], strict=True))
            print(
                f"{packing:<9} int64 ({ROWS}, {length})  whole {statistics.median(seconds[False]):.2f} ms, split "
                f"{statistics.median(seconds[True]):.2f} ms a batch: {statistics.median(ratios):.2f} times "
                f"[{ratios[0]:.2f} - {ratios[-1]:.2f}]"
            )
        start = time.process_time()
        pieces = [piece for part in parts for piece in divide(part)]
        taken = time.process_time() - start
        held = sum(array.nbytes for piece in pieces for array in piece[2:])
        print(
            f"split     {PARTS * DOCUMENTS / taken / 1e6:.1f} million documents a second, "
            f"{held / PARTS / DOCUMENTS:.1f} bytes a document, {sum(len(piece.starts) for piece in pieces):,} runs"
        )


if __name__ == "__main__":
    main()
