"""Reading a project file: YAML to a validated `Project`, every mistake with its file, line, field and remedy.

Steps: parse to a node tree that keeps line numbers (bounded in bytes, nodes and depth; aliases, duplicate keys and
tags are refused); replace `${NAME}` and `${NAME:-default}` by values of the environment passed in; validate with the
models of `pipelines/project.py`; check names that refer to each other, signals too. All mistakes are reported at once.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from yaml.reader import ReaderError

from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import digest_bytes
from pipelines.project import Project
from pipelines.project_signals import dangling_signals

MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 50_000
MAX_DEPTH: Final = 40
_TEXT_TAGS = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp"})
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")

_OPENING: Final = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING: Final = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong: where, what was expected, and the nearest valid name if there is one."""

    path: Path
    line: int
    field: str
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{self.path}:{self.line}: {self.field}: {self.message}{hint}"


class ProjectError(GristmillError, ValueError):
    """The project file is not valid; `mistakes` has every mistake, the message one a line."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(str(mistake) for mistake in mistakes))


@dataclass(frozen=True)
class LoadedProject:
    """A project with the file it came from and the digest of that file's bytes as they were read."""

    project: Project
    path: Path
    digest: str

    def changed_on_disk(self) -> bool:
        """True when the file is no longer the one that was loaded."""
        try:
            return digest_bytes(self.path.read_bytes()) != self.digest
        except FileNotFoundError:
            return True


def load_project(path: Path, environment: Mapping[str, str]) -> LoadedProject:
    """The validated project of a YAML file. Raises `ProjectError` with every mistake."""
    path = path.resolve()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ProjectError([Mistake(path, 0, "file", f"cannot be read: {error.strerror}")]) from None
    if len(data) > MAX_BYTES:
        raise ProjectError([Mistake(path, 0, "file", f"has {len(data)} bytes; a project file has at most {MAX_BYTES}")])
    reader = _Reader(path, environment)
    value = reader.read(data)
    if reader.mistakes:
        raise ProjectError(reader.mistakes)
    try:
        project = Project.model_validate(value)
    except ValidationError as error:
        mistakes = [_mistake(path, reader, dict(item)) for item in error.errors(include_url=False)]
        raise ProjectError(_without_echoes(mistakes)) from None
    wrong = [
        Mistake(path, reader.line(location), _dotted(location), message, _nearest(name, known))
        for location, message, name, known in (*project.dangling_names(), *dangling_signals(project))
    ]
    if wrong:
        raise ProjectError(wrong)
    return LoadedProject(project, path, digest_bytes(data))


class _Reader:
    """Node tree to plain values, remembering the line of every location."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self.path, self.environment = path, environment
        self.lines: dict[Location, int] = {}
        self.mistakes: list[Mistake] = []
        self.nodes = 0

    def read(self, data: bytes) -> Any:
        try:
            text = data.decode("utf-8")
            refusal = _refused_token(text)
            if refusal is not None:
                self._wrong(refusal[0], (), refusal[1])
                return None
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except UnicodeDecodeError as error:
            self._wrong(data[: error.start].count(b"\n") + 1, (), "is not UTF-8")
            return None
        except ReaderError as error:
            self._wrong(text.count("\n", 0, error.position) + 1, (), f"is not YAML: {error.reason}")
            return None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            self._wrong(mark.line + 1 if mark else 0, (), f"is not YAML: {getattr(error, 'problem', None) or error}")
            return None
        if root is None:
            self._wrong(0, (), "is empty; see assets/projects for examples")
            return None
        return self._value(root, ())

    def line(self, location: Location) -> int:
        """The line of the nearest place at or above `location`."""
        while location not in self.lines and location:
            location = location[:-1]
        return self.lines.get(location, 1)

    def _wrong(self, line: int, location: Location, message: str) -> None:
        self.mistakes.append(Mistake(self.path, line, _dotted(location) or "file", message))

    def _value(self, node: yaml.Node, location: Location) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(location, line)
        self.nodes += 1
        if self.nodes > MAX_NODES or len(location) > MAX_DEPTH:
            self._wrong(line, location, f"more than {MAX_NODES} values or {MAX_DEPTH} levels")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*location, index)) for index, item in enumerate(node.value)]
        if node.tag in _TEXT_TAGS or ":" in node.value:  # `10:30` is a range of records, not 630 in base 60
            return self._expanded(node.value, line, location)
        try:
            return yaml.SafeLoader("").construct_object(node)
        except ValueError:
            self._wrong(line, location, f"{node.value[:60]!r} is no number; put it in quotes if it is text")
            return None

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value
            if not isinstance(key, str):
                self._wrong(line, location, "a key must be a plain name")
                continue
            if key in values:
                self._wrong(line, (*location, key), f"is given twice, first on line {self.lines[(*location, key)]}")
                continue
            self.lines[(*location, key)] = line
            values[key] = self._value(value_node, (*location, key))
        return values

    def _expanded(self, text: str, line: int, location: Location) -> str:
        def replace(match: re.Match[str]) -> str:
            name, default = match.group(1), match.group(2)
            if name in self.environment:
                return self.environment[name]
            if default is None:
                self._wrong(
                    line, location, f"the environment variable {name} is not set: export {name}=… and run again"
                )
                return ""
            return default

        return _VARIABLE.sub(replace, text)


def _refused_token(text: str) -> tuple[int, str] | None:
    """(line, reason) of the first token that a project file may not have, found before anything is built of it.

    Depth is bounded here because the scanner's own cost grows with it: a megabyte of `[` takes minutes.
    """
    depth = 0
    for count, token in enumerate(yaml.scan(text, Loader=yaml.SafeLoader)):
        line = token.start_mark.line + 1
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken | yaml.TagToken):
            return line, "anchors, aliases and tags are not part of a project file; write the value out"
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_DEPTH:
            return line, f"is nested deeper than {MAX_DEPTH} levels"
        if count > 4 * MAX_NODES:
            return line, f"has more than {MAX_NODES} values"
    return None


def _dotted(location: Location) -> str:
    return ".".join(str(item) for item in location)


def _nearest(name: str, known: list[str]) -> str | None:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return close[0] if close else None


def _mistake(path: Path, reader: _Reader, error: dict[str, Any]) -> Mistake:
    location = _real_location(error["loc"], reader)
    line, field = reader.line(location), _dotted(location) or "file"
    if error["type"] == "extra_forbidden":
        known = sorted(set(_fields_at(Project, error["loc"][:-1])))
        name = str(error["loc"][-1])
        return Mistake(path, line, field, f"is not a field here; fields are {', '.join(known)}", _nearest(name, known))
    if error["type"] in ("model_type", "model_attributes_type"):
        fields = ", ".join(sorted(set(_fields_at(Project, error["loc"]))))
        return Mistake(
            path, line, field, f"must be a section with fields of {fields} (got {str(error['input'])[:60]!r})"
        )
    if error["type"] == "union_tag_not_found":
        return _missing_tag(path, reader, location, error)
    if error["type"] == "union_tag_invalid":
        name, choices = (
            error["ctx"]["discriminator"].strip("'"),
            re.findall(r"'([^']*)'", error["ctx"]["expected_tags"]),
        )
        where, tag = (*location, name), str(error["ctx"]["tag"])
        message = f"{tag[:60]!r} is not one of {', '.join(choices)}"
        return Mistake(path, reader.line(where), _dotted(where), message, _nearest(tag, choices))
    if error["type"] == "missing":
        return Mistake(path, line, field, "is required and missing")
    if error["type"] in ("literal_error", "enum"):
        choices = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))
        return Mistake(
            path,
            line,
            field,
            f"{error['input']!r} is not one of {', '.join(choices)}",
            _nearest(str(error["input"]), choices),
        )
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "string_type" and isinstance(error["input"], bool | int | float):
        message += "; put it in quotes"
    if error["type"] != "value_error" or not isinstance(
        error["input"], dict
    ):  # a section's rule names its fields itself
        message += f" (got {str(error['input'])[:60]!r})"
    return Mistake(path, line, field, message)


def _missing_tag(path: Path, reader: _Reader, location: Location, error: dict[str, Any]) -> Mistake:
    """The field that says which kind of section this is is not there: misspelt, or left out."""
    name = error["ctx"]["discriminator"].strip("'")
    written = [str(key) for key in error["input"]] if isinstance(error["input"], dict) else []
    close = difflib.get_close_matches(name, written, n=1, cutoff=0.5)
    if close:
        where = (*location, close[0])
        return Mistake(path, reader.line(where), _dotted(where), f"is not a field here; {name} is required", name)
    return Mistake(path, reader.line(location), _dotted((*location, name)), "is required and missing")


def _real_location(loc: tuple[Any, ...], reader: _Reader) -> Location:
    """A pydantic location without the parts that are not in the file (union member names, function names)."""
    location: Location = ()
    for index, item in enumerate(loc):
        last = index == len(loc) - 1
        if (*location, item) in reader.lines or last:
            location = (*location, item)
    return location


def _fields_at(model: Any, loc: tuple[Any, ...]) -> Iterator[str]:
    """The field names of the model that `loc` leads to; every member of a union is followed."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        if not loc:
            yield from model.model_fields
        elif loc[0] in model.model_fields:
            yield from _fields_at(model.model_fields[loc[0]].annotation, loc[1:])
        elif loc[0] == model.__name__ or loc[0] in _tags(model):
            yield from _fields_at(model, loc[1:])
        return
    origin, arguments = get_origin(model), get_args(model)
    if origin is Literal:
        return
    if origin is dict and loc:
        yield from _fields_at(arguments[1], loc[1:])
    elif origin in (list, tuple) and loc:
        yield from _fields_at(arguments[0], loc[1:])
    elif origin is Union or arguments:
        for argument in arguments:
            yield from _fields_at(argument, loc)


def _tags(model: type[BaseModel]) -> set[Any]:
    """Values by which a union may tell this member from the others; they appear in a location, never in the file."""
    annotations = [field.annotation for field in model.model_fields.values()]
    return {value for kind in annotations if get_origin(kind) is Literal for value in get_args(kind)}


def _without_echoes(mistakes: list[Mistake]) -> list[Mistake]:
    """One mistake a place: a union reports the same field once for each member."""
    kept: dict[tuple[int, str], Mistake] = {}
    for mistake in mistakes:
        kept.setdefault((mistake.line, mistake.field), mistake)
    return sorted(kept.values(), key=lambda mistake: (mistake.line, mistake.field))
