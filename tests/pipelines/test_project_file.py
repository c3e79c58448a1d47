"""The project file: every mistake has file, line, field, expectation and nearest name; hostile YAML is refused."""

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from pipelines.project import Project
from pipelines.project_file import MAX_BYTES, Mistake, ProjectError, load_project

PROJECTS = Path(__file__).resolve().parents[2] / "assets" / "projects"
EXAMPLE = (Path(__file__).parent / "example_project.yaml").read_text("utf-8")
ENVIRONMENT = {"GRISTMILL_SHARED_DATA": "/shared/data"}


def load(folder: Path, text: str | bytes, environment: dict[str, str] | None = None) -> Project:
    path = folder / "project.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_project(path, environment or {}).project


def mistakes(folder: Path, text: str | bytes, environment: dict[str, str] | None = None) -> list[Mistake]:
    with pytest.raises(ProjectError) as caught:
        load(folder, text, environment)
    assert str(caught.value).splitlines() == [str(mistake) for mistake in caught.value.mistakes]
    for mistake in caught.value.mistakes:
        assert str(mistake).startswith(f"{folder / 'project.yaml'}:{mistake.line}: {mistake.field}: ")
    return caught.value.mistakes


def edited(*changes: tuple[str, str]) -> str:
    """The example with lines replaced; each must occur."""
    text = EXAMPLE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def line_of(text: str, needle: str) -> int:
    return text[: text.index(needle)].count("\n") + 1


# the embedded projects -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(PROJECTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_embedded_projects_are_valid(path: Path) -> None:
    loaded = load_project(path, ENVIRONMENT)
    assert loaded.path == path
    assert not loaded.changed_on_disk()
    assert loaded.project.lanes


@pytest.fixture(scope="module")
def spine() -> Project:
    return load_project(PROJECTS / "spine.yaml", {}).project


def written_out(project: Project) -> dict[str, Any]:
    """The project with every field, but for the ones that the file must leave to another field."""
    values: dict[str, Any] = project.model_dump(mode="json")
    for lane in values["lanes"].values():
        for stage in ("base", "rounds"):
            del lane[stage]["mixture"]["sequence_length"]
    return values


def test_a_project_written_out_in_full_is_the_same_project(tmp_path: Path, spine: Project) -> None:
    assert load(tmp_path, yaml.safe_dump(written_out(spine), allow_unicode=True)) == spine


# typos ---------------------------------------------------------------------------------------------------------------


def typo(name: str) -> str:
    """A letter left out in the middle, or two added to a short name."""
    middle = len(name) // 2
    return name[:middle] + name[middle + 1 :] if len(name) > 3 else name + "xx"


def sections(
    value: Any, written: Any, location: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """(location, written mapping) of every section of a project."""
    if isinstance(value, BaseModel):
        yield location, written
        for name in type(value).model_fields:
            if name in written:
                yield from sections(getattr(value, name), written[name], (*location, name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from sections(item, written[name], (*location, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from sections(item, written[index], (*location, index))


def test_a_typo_of_every_field_of_every_section_is_told_with_the_field_that_was_meant(
    tmp_path: Path, spine: Project
) -> None:
    """All sections at once, a field of each at a time: every mistake is reported, on its own line, with its remedy."""
    whole = written_out(spine)
    fields = {
        location: [name for name, value in written.items() if not below(value)]
        for location, written in sections(spine, whole)
    }
    seen = 0
    for turn in range(max(map(len, fields.values()))):
        values = copy.deepcopy(whole)
        meant: dict[str, str] = {}
        for location, written in list(sections(spine, values)):
            if turn < len(fields[location]):
                name = fields[location][turn]
                renamed = [(typo(key) if key == name else key, value) for key, value in written.items()]
                written.clear()
                written.update(renamed)
                meant[".".join(map(str, (*location, typo(name))))] = name
        text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=10**6)
        told = {mistake.field: mistake for mistake in mistakes(tmp_path, text)}
        lines = text.splitlines()
        for field, name in meant.items():
            mistake = told[field]
            assert mistake.nearest == name, mistake
            assert typo(name) + ":" in lines[mistake.line - 1], mistake
            assert "is not a field here" in mistake.message
            seen += 1
    assert seen == sum(map(len, fields.values())) > 250


def below(value: Any) -> bool:
    """Whether a field holds a section, whose own mistakes would hide behind its typo."""
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


@pytest.mark.parametrize(
    ("old", "new", "field", "message", "nearest"),
    [
        ("project: spine", "projet: spine", "projet", "is not a field here; fields are corpus", "project"),
        ("corpus:", "corups:", "corups", "is not a field here", "corpus"),
        ("  sources:", "  source:", "corpus.source", "is not a field here", "sources"),
        ("      domain: docs", "      domian: docs", "corpus.sources.python-docs.domian", "is not a field", "domain"),
        (
            "        site: pydoc",
            "        site: pydocs",
            "corpus.sources.python-docs.crawl.site",
            "is not one of",
            "pydoc",
        ),
        ("{format: warc}", "{format: wrac}", "corpus.sources.python-docs.reader.format", "is not one of", "warc"),
        ("presets: [gopher]", "presets: [gohper]", "corpus.sources.python-docs.filter", "did you mean 'gopher'?", None),
        ('records: "0:30"', 'records: "0-30"', "corpus.sources.novel.batches.first.records", "pattern", None),
        (
            "after: nano/base_checkpoint",
            "after: nano/base_chekpoint",
            "corpus.sources.novel.batches.second.after",
            "there is no asset",
            "nano/base_checkpoint",
        ),
        ("part_bytes: 4194304", "part_bytes: -1", "corpus.extraction.part_bytes", "greater than", None),
        (
            "  signals:\n    language:",
            "  signals:\n    langauge:",
            "corpus.signals.langauge",
            "is not a field",
            "language",
        ),
        (
            "    max_documents: 60\n    max_characters",
            "    max_documents: many\n    max_characters",
            "corpus.splits.max_documents",
            "valid integer",
            None,
        ),
        (
            "  max_documents: 60\n  tasks",
            "  max_document: 60\n  tasks",
            "evaluation.max_document",
            "is not a field here",
            "max_documents",
        ),
        (
            "batches: [python-docs.first",
            "batches: [python-docs.frist",
            "tokenizers.bpe8k.batches.0",
            "there is no batch",
            "python-docs.first",
        ),
        ("kind: trained", "kind: traind", "tokenizers.bpe8k.model.kind", "is not one of", "trained"),
        ("kind: trained", "knd: trained", "tokenizers.bpe8k.model.knd", "is not a field here", "kind"),
        ("      kind: trained\n", "", "tokenizers.bpe8k.model.kind", "is required and missing", None),
        (
            "      vocab_size: 8192",
            "      vocabsize: 8192",
            "tokenizers.bpe8k.model.vocabsize",
            "fields are",
            "vocab_size",
        ),
        ("tokenizer: bpe8k", "tokenizer: bpe8", "lanes.nano.tokenizer", "there is no tokenizer 'bpe8'", "bpe8k"),
        (
            "tokenizer: bpe8k",
            "tokenizer: bpe8k\n    include: [wik]",
            "lanes.nano.include.0",
            "there is no source",
            "wiki",
        ),
        ("layers: 4", "layer: 4", "lanes.nano.shape.layer", "is not a field here", "layers"),
        ("method: temperature", "method: temprature", "lanes.nano.base.mixture.method", "is not one of", "temperature"),
        ("kind: wsd", "kind: wds", "lanes.nano.base.schedule.kind", "is not one of", "wsd"),
        ("learning_rate: 0.003", "learning_rate: .inf", "lanes.nano.base.optimiser.learning_rate", "finite", None),
        (
            "gates: {max_forgetting",
            "gates: {max_forgeting",
            "lanes.nano.rounds.gates.max_forgeting",
            "is not a field",
            "max_forgetting",
        ),
        ("language: zh", "language: no", "corpus.sources.novel.language", "valid string; put it in quotes", None),
        ("owners: [", "owners: {a: b}\nx: [", "owners", "", None),
    ],
)
def test_a_mistake_in_each_section(
    tmp_path: Path, old: str, new: str, field: str, message: str, nearest: str | None
) -> None:
    text = edited((old, new))
    found = {mistake.field: mistake for mistake in mistakes(tmp_path, text)}
    assert field in found, found
    mistake = found[field]
    assert message in mistake.message
    assert mistake.nearest == nearest
    edited_line = line_of(text, new.strip().splitlines()[-1]) if new else 0
    named = text.splitlines()[mistake.line - 1].strip()
    section = field.split(".")[-2] if new == "" else field.split(".")[-1]
    assert mistake.line == edited_line or named.startswith(section + ":"), mistake


def test_mistakes_of_a_batchs_crawl_are_found_when_the_file_is_read(tmp_path: Path) -> None:
    batch = "      batches:\n        second: {crawl: {max_pagez: 3, max_depth: -1}}\n      reader: {format: warc}"
    text = edited(("      reader: {format: warc}", batch))
    found = {mistake.field: mistake for mistake in mistakes(tmp_path, text)}
    prefix = "corpus.sources.python-docs.batches.second.crawl."
    assert found[prefix + "max_pagez"].nearest == "max_pages"
    assert found[prefix + "max_depth"].line == line_of(text, "second:")
    text = edited(("        first: {records", "        first: {crawl: {max_pages: 3}, records"))
    (mistake,) = mistakes(tmp_path, text)
    assert "'novel' is not crawled" in mistake.message


def test_a_missing_section_is_told_at_its_parent(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, "project: p\n")
    assert (mistake.field, mistake.line, mistake.message) == ("corpus", 1, "is required and missing")


def test_a_section_that_is_no_section_names_its_fields(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, "- a\n- b\n")
    assert mistake.message.startswith("must be a section with fields of corpus, description, evaluation")
    (mistake,) = mistakes(tmp_path, edited(("corpus:\n", "corpus: none\nrest:\n")))[:1]
    assert mistake.field == "corpus"
    assert "must be a section with fields of cleaning, contamination" in mistake.message


# hostile YAML --------------------------------------------------------------------------------------------------------

BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (BOMB, 1, "anchors, aliases and tags are not part of a project file"),
        ("project: !!python/object/apply:os.system [ls]\n", 1, "anchors, aliases and tags"),
        ("project: spine\nowners: !!binary aGVsbG8=\n", 2, "anchors, aliases and tags"),
        ("project: a\ncorpus: {}\nproject: b\n", 3, "is given twice, first on line 1"),
        ("corpus:\n  a: 1\n  a: 2\n", 3, "is given twice, first on line 2"),
        ("[" * 1_000_000, 1, "is nested deeper than 40 levels"),
        ("{a: " * 100_000, 1, "is nested deeper than 40 levels"),
        ("".join(" " * n + "a:\n" for n in range(1000)), 41, "is nested deeper than 40 levels"),
        ("a: b\n" * 200_000, None, "more than 50000 values"),
        ("[" + "a, " * 300_000 + "]", None, "more than 50000 values"),
        (b"project: caf\xe9\n", 1, "is not UTF-8"),
        (b"project: p\nowners: [\xff]\n", 2, "is not UTF-8"),
        (EXAMPLE.encode("utf-16"), 1, "is not UTF-8"),
        ("project: p\nowners: [a\0b]\n", 2, "is not YAML: special characters are not allowed"),
        (b"#" * (MAX_BYTES * 2), 0, f"a project file has at most {MAX_BYTES}"),
        (b"", 0, "is empty; see assets/projects for examples"),
        ("# only a comment\n", 0, "is empty"),
        ("- a\n- b\n", 1, "must be a section"),
        ("hello", 1, "must be a section"),
        ("project: [\n", 2, "is not YAML: expected the node content"),
        ("project: p\n\tcorpus: x\n", 2, "is not YAML"),
        (EXAMPLE + "\n---\nproject: other\n", None, "is not YAML: but found another document"),
        ("? [a, b]\n: c\n", 1, "a key must be a plain name"),
        ("project: " + "1" * 5000, 1, "is no number; put it in quotes if it is text"),
        ("project: 0x_\n", 1, "'0x_' is no number"),
        ("project: 2001-99-99\n", 1, "should match pattern"),
        ('project: "\\ud800"\n', 1, "valid string"),
        ("<<: {project: p}\n", 1, "is not a field here"),
    ],
)
def test_hostile_yaml_is_refused_at_once(tmp_path: Path, text: str | bytes, line: int | None, message: str) -> None:
    started = time.monotonic()
    found = mistakes(tmp_path, text)
    assert (
        time.monotonic() - started < 20
    )  # seconds, on a busy machine; minutes before depth was bounded in the scanner
    mistake = next(item for item in found if message in item.message)
    assert line is None or mistake.line == line
    assert len(str(mistake)) < 700


def test_a_file_that_is_not_there_or_is_a_folder_is_told(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ProjectError, match=f"{path}:0: file: cannot be read: {reason}"):
            load_project(path, {})


# environment ---------------------------------------------------------------------------------------------------------


def test_environment_variables_are_put_in(tmp_path: Path) -> None:
    text = edited(
        ("path: planted.txt", "path: ${FOLDER}/${NAME:-planted}.txt"),
        ("steps: 400", 'steps: "${STEPS:-400}"'),
        ("origin: a planted", "origin: costs $5, {braces} and ${EMPTY:-} a planted"),
    )
    project = load(tmp_path, text, {"FOLDER": "/somewhere", "STEPS": "7"})
    assert project.corpus.sources["notes"].path == "/somewhere/planted.txt"
    assert project.lanes["nano"].base.train.steps == 7
    assert project.corpus.sources["notes"].origin.startswith("costs $5, {braces} and  a planted")
    assert load(tmp_path, text, {"FOLDER": "f", "NAME": "n"}).corpus.sources["notes"].path == "f/n.txt"


def test_an_unset_variable_is_told_with_its_line(tmp_path: Path) -> None:
    text = edited(("path: planted.txt", "path: ${NOT_SET}/planted.txt"))
    (mistake,) = mistakes(tmp_path, text, {"OTHER": "x"})
    assert (mistake.field, mistake.line) == ("corpus.sources.notes.path", line_of(text, "path: ${NOT_SET}"))
    assert "the environment variable NOT_SET is not set" in mistake.message


def test_values_of_the_environment_are_text_not_yaml(tmp_path: Path) -> None:
    hostile = "x, y: {z: 1}]\n- ${HOME} !!python/name:os.system"
    text = edited(("path: planted.txt", "path: ${FOLDER}"))
    assert load(tmp_path, text, {"FOLDER": hostile}).corpus.sources["notes"].path == hostile


def test_many_open_braces_cost_no_time(tmp_path: Path) -> None:
    started = time.monotonic()
    text = edited(("path: planted.txt", "path: " + "${A:-" * 50_000))
    load(tmp_path, text)
    assert time.monotonic() - started < 20


# plain values --------------------------------------------------------------------------------------------------------


def test_what_looks_like_a_time_or_a_date_is_text(tmp_path: Path) -> None:
    """YAML 1.1 reads 10:30 as 630 and 2024-06-01 as a date; in a project file they are a range and a name."""
    text = edited(('records: "0:30"', "records: 10:30"), ("description: ", "description: 2024-06-01 # "))
    project = load(tmp_path, text)
    assert project.corpus.sources["novel"].batches["first"].records == "10:30"
    assert project.description == "2024-06-01"


def test_an_edit_on_disk_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "project.yaml"
    path.write_text(EXAMPLE, "utf-8")
    loaded = load_project(path, {})
    assert not loaded.changed_on_disk()
    path.write_text(EXAMPLE + "\n", "utf-8")
    assert loaded.changed_on_disk()
    path.unlink()
    assert loaded.changed_on_disk()


# the schema ----------------------------------------------------------------------------------------------------------


def test_every_field_of_the_schema_has_a_sentence() -> None:
    schema = Project.model_json_schema()
    models = {"Project": schema, **schema["$defs"]}
    fields = [
        (f"{model}.{name}", field)
        for model, body in models.items()
        for name, field in body.get("properties", {}).items()
    ]
    assert len(fields) > 150
    without = [name for name, field in fields if len(field.get("description", "")) < 10]
    assert without == []
    assert [name for name, field in fields if field["description"][-1] not in ".)!"] == []
    assert [model for model, body in models.items() if "properties" in body and not body.get("description")] == []


def test_names_that_collide_are_refused(tmp_path: Path) -> None:
    text = edited(("  bpe8k:\n", "  nano:\n"), ("tokenizer: bpe8k", "tokenizer: nano"))
    (mistake,) = mistakes(tmp_path, text)
    assert "['nano'] name two of tokenizers, lanes and models" in mistake.message


def test_long_keys_are_refused(tmp_path: Path) -> None:
    source, batch = "s" * 40, "b" * 40
    text = edited(
        ("    notes:\n", f"    {source}:\n"),
        ("      path: planted.txt", f"      path: x\n      batches: {{{batch}: {{}}}}"),
    )
    (mistake,) = mistakes(tmp_path, text)
    assert f"the key {source}.{batch} is longer than 63 characters" in mistake.message


@pytest.mark.parametrize("name", ["../etc", "a/b", "A", "a b", "", "-a", "a" * 41, "a\\b", "ａ"])
def test_hostile_names_of_sources_batches_and_lanes_are_refused(tmp_path: Path, name: str) -> None:
    quoted = "'" + name + "'"
    for change in (
        ("    notes:\n", f"    {quoted}:\n"),
        ("        first: {", f"        {quoted}: {{"),
        ("  nano:\n", f"  {quoted}:\n"),
        ("project: spine", f"project: {quoted}"),
    ):
        assert mistakes(tmp_path, edited(change))
