"""The README's commands exist and its project file is valid: documentation that no longer runs is a bug."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from assets.cli import _parser
from pipelines.corpus.filters.config import FilterConfig, SignalConfig
from pipelines.corpus.filters.presets import PRESETS, WORDS_OF
from pipelines.corpus.filters.sections import ModelsConfig
from pipelines.corpus.metadata.config import MetadataConfig
from pipelines.corpus.normalization.config import Operations
from pipelines.corpus.normalization.normalize import STEPS
from pipelines.project import Project, SourceConfig
from pipelines.tokens.mixture.config import MixtureConfig

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def commands() -> list[str]:
    """`gristmill ...` lines of the shell blocks, comments removed."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.S)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(".venv/bin/gristmill")]


@pytest.mark.parametrize("line", commands())
def test_every_command_parses(line: str) -> None:
    arguments = shlex.split(line.replace("<id>", "0" * 32))[1:]
    assert callable(_parser().parse_args(arguments).command)


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.M))
    assert named and named <= targets


def blocks() -> list[dict[str, Any]]:
    """Every YAML example."""
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.S)]


def test_the_example_project_is_valid() -> None:
    example = re.search(r"```yaml\n(.*?)```", README, re.S)
    assert example
    project = Project.model_validate(yaml.safe_load(example[1]))
    assert list(project.dangling_names()) == []


def test_the_example_models_are_valid() -> None:
    section, chinese = [block["corpus"] for block in blocks() if "models" in block.get("corpus", {})]
    assert set(ModelsConfig.model_validate(section["models"]).assets()) == {
        "opinions/annotations", "useful/quality_classifier", "prose/language_model"
    }  # fmt: skip
    FilterConfig.model_validate(section["sources"]["handbook"]["filter"])
    assert set(ModelsConfig.model_validate(chinese["models"]).assets()) == {"clean/quantile_bands"}
    FilterConfig.model_validate(chinese["sources"]["handbook"]["filter"])
    assert SignalConfig.model_validate(chinese["signals"]).bad_words is not None


def test_the_chinese_presets_of_the_readme_are_those_of_the_library() -> None:
    table = README[README.index("| preset | whose | `unspaced` |") :].split("\n\n")[0]
    rows = [line.split("|") for line in table.splitlines()[2:]]
    named = {preset: row[3] for row in rows for preset in re.findall("`([a-z0-9_]+)`", row[1])}
    assert set(WORDS_OF) <= set(named) <= set(PRESETS)
    assert all(f"`{words}`" in named[preset] for preset, words in WORDS_OF.items())


def test_the_example_mixture_is_valid() -> None:
    (block,) = [block for block in blocks() if "lanes" in block and "project" not in block]
    mixture = MixtureConfig.model_validate(block["lanes"]["small"]["base"]["mixture"])
    assert mixture.split == {"web": "topic"} and "web:commerce" in mixture.weights


def test_the_example_sources_are_valid() -> None:
    for example in re.findall(r"```yaml\n( .*?)```", README, re.S):
        for source in yaml.safe_load(example).values():
            SourceConfig.model_validate(source)


def test_every_folder_of_the_table_exists() -> None:
    for folder in re.findall(r"^\| `([a-z_/]+)/` \|", README, re.M):
        assert (ROOT / folder).is_dir(), folder


def test_the_operations_of_the_readme_are_those_of_the_library() -> None:
    operations = TypeAdapter(Operations)
    lists = [block["corpus"] for block in blocks() if "normalization" in block.get("corpus", {})]
    assert lists
    for corpus in lists:
        for listed in (corpus, *corpus["sources"].values()):
            assert operations.validate_python(listed["normalization"])
    table = README[README.index("| operations | for |") :].split("\n\n")[0]
    assert set(re.findall(r"`([a-z_]+)`", table)) == set(STEPS)
    (declared,) = [MetadataConfig.model_validate(block["metadata"]) for block in blocks() if "metadata" in block]
    assert set(re.findall(r"`(meta_[a-z_]+) [>=]", README)) <= {name for name, _ in declared.signals()}
