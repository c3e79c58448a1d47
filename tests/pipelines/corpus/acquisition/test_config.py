"""Reader configuration: every mistake is named, and importing it stays light."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.corpus.acquisition.config import ReaderConfig


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "word"}, "format"),
        ({"format": "jsonl", "records": "5"}, "start:stop"),
        ({"format": "jsonl", "records": "5:5"}, "is empty"),
        ({"format": "jsonl", "records": "-1:3"}, "start:stop"),
        ({"format": "jsonl", "encoding": "utf-9"}, "unknown encoding 'utf-9'"),
        ({"format": "jsonl", "encoding": "rot13"}, "unknown encoding"),
        ({"format": "jsonl", "max_line_bytes": 2048}, "would not fit on a line"),
        ({"format": "jsonl", "text_filed": "x"}, "text_filed"),
    ],
)
def test_mistakes_are_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ReaderConfig.model_validate(fields)


def test_bounds() -> None:
    assert ReaderConfig(format="jsonl").bounds() == (0, None)
    assert ReaderConfig(format="jsonl", records="0:40").bounds() == (0, 40)
    assert ReaderConfig(format="jsonl", records=":7").bounds() == (0, 7)
    assert ReaderConfig(format="jsonl", records="7:").bounds() == (7, None)


@pytest.mark.parametrize("module", ["acquisition.config", "extraction.config"])
def test_importing_a_configuration_is_light(module: str) -> None:
    program = (
        f"import sys, pipelines.corpus.{module}; heavy = 'numpy pyarrow fastwarc resiliparse mwparserfromhell numba';"
        "print([name for name in heavy.split() if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
