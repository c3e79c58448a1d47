"""Memory formulas against published figures and against a real process."""

import json
import subprocess
import sys

import pytest

from pipelines.model.config import ShapeConfig, TrainConfig
from pipelines.model.estimates.memory import (
    activation_bytes_per_layer,
    kv_cache_bytes,
    training_peak_bytes,
    zero3_device_bytes,
    zero_state_bytes,
)
from tests.pipelines.model.estimates.test_parameters import model

LLAMA_7B = model(32000, 32, 4096, 11008, 32, 32)


def test_zero_stages_of_the_paper() -> None:
    gigabytes = [zero_state_bytes(7.5e9, 64, stage) / 1e9 for stage in range(4)]
    assert gigabytes == pytest.approx([120, 31.4, 16.6, 1.88], abs=0.05)
    with pytest.raises(ValueError, match="stage 4"):
        zero_state_bytes(1, 1, 4)


def test_llama_7b_on_two_devices_with_zero_3() -> None:
    assert zero3_device_bytes(LLAMA_7B, 2, 8, 2048) / 2**30 == pytest.approx(66.064, abs=5e-4)


def test_activation_formula_of_korthikanti() -> None:
    for heads, hidden, expected in ((96, 12288, 80), (128, 20480, 64)):
        with_scores = activation_bytes_per_layer(2048, 1, hidden, heads)
        without = activation_bytes_per_layer(2048, 1, hidden, heads, keep_scores=False)
        assert without == 34 * 2048 * hidden
        assert (with_scores - without) / (2048 * hidden) == expected
    split = activation_bytes_per_layer(2048, 1, 12288, 96, tensor_parallel=8)
    assert split == 2048 * 12288 * (10 + 3 + 10)
    assert activation_bytes_per_layer(2048, 1, 12288, 96, tensor_parallel=8, sequence_parallel=True) * 8 == (
        2048 * 12288 * (34 + 80)
    )


def test_key_value_bytes_of_published_models() -> None:
    assert kv_cache_bytes(LLAMA_7B, 1) == 524_288
    assert kv_cache_bytes(LLAMA_7B, 8 * 2048) == 8 * 2**30
    assert kv_cache_bytes(model(128256, 32, 4096, 14336, 32, 8), 1) == 131_072
    assert kv_cache_bytes(model(32000, 80, 8192, 28672, 64, 8), 1) == 327_680


MEASURE = """
import json, re, sys, time
from pathlib import Path
from pipelines.model.config import ArchitectureConfig, TrainConfig
from pipelines.model.estimates.cost import measure_rate
architecture, train = json.loads(sys.argv[1])
measure_rate(TrainConfig(**train), ArchitectureConfig(**architecture), time.perf_counter, steps=1)
# VmHWM is this program's own peak; ru_maxrss would start from the peak of the test runner that forked it.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("shape", "vocab", "rows"),
    [
        (ShapeConfig(layers=2, hidden=256, intermediate=704), 8192, 4),
        (ShapeConfig(layers=8, hidden=192, intermediate=512, heads=6, kv_heads=2), 1024, 6),
        (ShapeConfig(layers=2, hidden=768, intermediate=2048, heads=12), 4096, 1),
    ],
)
def test_peak_is_within_a_quarter_of_a_real_process(shape: ShapeConfig, vocab: int, rows: int) -> None:
    architecture = shape.with_vocabulary(vocab)
    train = TrainConfig(sequence_length=256, batch_sequences=rows, micro_batch_sequences=rows, steps=1, threads=1)
    arguments = json.dumps([architecture.model_dump(), train.model_dump()])
    result = subprocess.run([sys.executable, "-c", MEASURE, arguments], capture_output=True, check=True, text=True)
    assert training_peak_bytes(architecture, train) == pytest.approx(int(result.stdout), rel=0.25)
