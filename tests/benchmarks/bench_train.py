"""Training speed: our loop against transformers' Llama, paired, and our rate at other shapes.

`python -m tests.benchmarks.bench_train compare [--compile]` trains the same 8 x 256 model (V 32,000, 4 x 256 tokens a
step) on both sides in alternation, five pairs after a warm-up, and prints both medians and the median of the paired
ratios.
`python -m tests.benchmarks.bench_train shapes LAYERSxHIDDEN:ROWSxLENGTH ...` prints tokens a second of each shape at a
vocabulary of 8,192. Set OMP_WAIT_POLICY=PASSIVE, as the trainer does, when anything else runs on the machine.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from pipelines.core.seeds import generator
from pipelines.model.config import ArchitectureConfig, OptimiserConfig, ShapeConfig, TrainConfig
from pipelines.model.estimates.cost import measure_rate
from pipelines.model.estimates.flops import flops_per_token
from pipelines.model.estimates.parameters import parameter_count
from pipelines.model.hf_layout import hf_config
from pipelines.model.loop import accumulate, deterministic
from pipelines.model.objectives import CausalLanguageModelling
from pipelines.model.optimisers import build_optimiser
from pipelines.model.transformer import build_model

PAIRS = 5


def square(layers: int, hidden: int, vocab_size: int) -> ArchitectureConfig:
    intermediate = round(hidden * 8 / 3 / 32) * 32
    heads = max(hidden // 64, 1)
    return ShapeConfig(layers=layers, hidden=hidden, intermediate=intermediate, heads=heads).with_vocabulary(vocab_size)


def timed(step: Callable[[], float]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def our_step(architecture: ArchitectureConfig, train: TrainConfig, compiled: bool) -> Callable[[], float]:
    model = build_model(architecture, 0)
    optimiser = build_optimiser(model, OptimiserConfig())
    forward = torch.compile(model, dynamic=False) if compiled else model
    objective = CausalLanguageModelling()
    tokens = random_tokens(architecture, train)

    def step() -> float:
        loss = accumulate(forward, objective, (tokens[:, :-1], tokens[:, 1:]), train, architecture.vocab_size)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        return loss

    return step


def their_step(architecture: ArchitectureConfig, train: TrainConfig) -> Callable[[], float]:
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in hf_config(architecture).items() if k != "dtype"}))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    tokens = torch.from_numpy(random_tokens(architecture, train))
    inputs, targets = tokens[:, :-1], tokens[:, 1:].reshape(-1)

    def step() -> float:
        loss = F.cross_entropy(model(inputs, use_cache=False).logits.flatten(0, 1), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        return float(loss.detach())

    return step


def random_tokens(
    architecture: ArchitectureConfig, train: TrainConfig
) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    shape = (train.batch_sequences, train.sequence_length + 1)
    return generator(0, "bench").integers(architecture.vocab_size, size=shape, dtype=np.int64)


def compare(compiled: bool) -> None:
    architecture = square(8, 256, 32_000)
    train = TrainConfig(sequence_length=256, batch_sequences=4, micro_batch_sequences=4, steps=1)
    print(f"{parameter_count(architecture):,} parameters, {train.tokens_per_step} tokens a step, 2 threads, float32")
    with deterministic(2):
        ours = our_step(architecture, train, compiled)
        theirs = their_step(architecture, train)
        print(f"first step: ours {timed(ours):.2f} s, transformers {timed(theirs):.2f} s")
        for step in (ours, theirs):
            step()
        pairs = [(timed(ours), timed(theirs)) for _ in range(PAIRS)]
    for name, times in (("ours", [a for a, _ in pairs]), ("transformers", [b for _, b in pairs])):
        rates = [train.tokens_per_step / seconds for seconds in times]
        print(f"{name:13s} {statistics.median(rates):7,.0f} tokens/s [{min(rates):,.0f}-{max(rates):,.0f}]")
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"ratio ours / transformers {ratio:.3f} (median of {PAIRS} pairs)")


def shapes(specifications: list[str], compiled: bool) -> None:
    for specification in specifications:
        shape, batch = specification.split(":")
        layers, hidden = (int(number) for number in shape.split("x"))
        rows, length = (int(number) for number in batch.split("x"))
        architecture = square(layers, hidden, 8192)
        train = TrainConfig(
            sequence_length=length,
            batch_sequences=rows,
            micro_batch_sequences=rows,
            steps=1,
            kernel_mode="compiled" if compiled else "eager",
        )
        rate = measure_rate(train, architecture, time.perf_counter, steps=5)
        flops = flops_per_token(architecture, length) * rate
        print(
            f"{specification:16s} {parameter_count(architecture) / 1e6:5.2f} M  {rate:8,.0f} tokens/s  "
            f"{flops / 1e9:6.1f} GFLOP/s  step {train.tokens_per_step / rate:5.2f} s"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("compare", "shapes"):
        command = commands.add_parser(name)
        command.add_argument("--compile", action="store_true", help="our side through torch.compile")
        if name == "shapes":
            command.add_argument("specifications", nargs="+", help="LAYERSxHIDDEN:ROWSxLENGTH")
    options = parser.parse_args()
    if options.command == "compare":
        compare(options.compile)
    else:
        shapes(options.specifications, options.compile)


if __name__ == "__main__":
    main()
