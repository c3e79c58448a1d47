"""Edits of a filter, as a person types them on one line: what `gristmill what-if` asks about.

    gopher_min_words=100          another threshold, in every source that has the rule
    wiki:gopher_min_words=100     in one source
    english_language=en,de        a list, for rules that compare with one
    gopher_min_words=disabled     the rule is not applied; `enabled` applies it again
    chinese_max_sentence=drop     a flagged rule drops; `flag` only records
    n_characters>=200             a rule that is not there yet, over any signal (>=, >, <=, <, ==, in)
    presets=gopher,fineweb        other presets; what is set for rules that they do not have falls away

An edit gives the `FilterConfig` that the project file would hold, so what is asked is what a run would do.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from pipelines.core.config import Config
from pipelines.core.errors import GristmillError
from pipelines.corpus.filters.config import FilterConfig
from pipelines.corpus.filters.presets import PRESETS

EDIT: Final = re.compile(
    r"\s*(?:(?P<source>[^\s:=<>]+):)?\s*(?P<name>[A-Za-z0-9_.\-]+?)\s*(?P<op>>=|<=|==|=|>|<|\s+in\s+)\s*(?P<value>.*\S)\s*"
)
STATES: Final = ("disabled", "enabled", "flag", "drop")
FORMS: Final = "write RULE=VALUE, RULE=disabled|enabled|flag|drop, SIGNAL>=VALUE or presets=A,B; SOURCE: before it"


class BadEditError(GristmillError, ValueError):
    """An edit that cannot be understood, or that names no rule, signal or source."""


class Edit(NamedTuple):
    """One edit; `source` is None for every source. `op` is `=` for a rule that is there, else the new rule's own."""

    text: str
    source: str | None
    name: str
    op: str
    value: str


def parse_edit(text: str, sources: Iterable[str]) -> Edit:
    """One line as an edit. Raises `BadEditError` naming the nearest source."""
    found = EDIT.fullmatch(text)
    if found is None:
        raise BadEditError(f"{text[:120]!r} is no edit of a rule: {FORMS}")
    source = found["source"]
    if source is not None and source not in (known := list(sources)):
        raise BadEditError(f"{text[:120]!r}: there is no source {source!r}{nearest(source, known)}")
    return Edit(text.strip(), source, found["name"], found["op"].strip(), found["value"])


def edited(
    filters: Mapping[str, FilterConfig], edits: Iterable[Edit], signals: Iterable[str]
) -> dict[str, FilterConfig]:
    """The filter of each source after all edits, in their order.

    Raises `BadEditError` when an edit changes the filter of no source, or gives one that the project file may not hold.
    """
    result = dict(filters)
    columns = list(signals)
    for edit in edits:
        wanted = [edit.source] if edit.source is not None else list(filters)
        changed = {}
        for source in wanted:
            after = _applied(result[source], edit, columns)
            if after is not None:
                changed[source] = after
        if not changed:
            raise BadEditError(_unknown(edit, [result[source] for source in wanted], columns))
        result |= changed
    return result


def _applied(config: FilterConfig, edit: Edit, columns: list[str]) -> FilterConfig | None:
    """The filter with one edit, or None when it has no such rule."""
    values = config.model_dump()
    if edit.op != "=":
        if edit.name not in columns:
            return None
        values["extra"] = (*values["extra"], _new_rule(edit, {rule.name for rule in config.resolved()}))
    elif edit.name == "presets":
        values["presets"] = tuple(_listed(edit.value))
        known = {rule.name for preset in values["presets"] for rule in PRESETS.get(preset, ())}
        values |= {field: tuple(name for name in values[field] if name in known) for field in ("disabled", "flagged")}
        values["rules"] = {name: value for name, value in values["rules"].items() if name in known}
    elif edit.name in {rule.name for preset in config.presets for rule in PRESETS[preset]}:
        _edit_preset_rule(values, edit)
    elif not _edit_own_rule(config, values, edit):
        return None
    after = _validated(values, edit)
    rule = next((rule for rule in after.resolved() if rule.name == edit.name), None)
    if edit.value == "drop" and rule is not None and getattr(rule, "action", "drop") != "drop":
        raise BadEditError(
            f"{edit.text!r}: {edit.name} only flags in its preset, which a project file cannot change; ask for a rule "
            f"over its signal: {getattr(rule, 'signal', 'SIGNAL')}{getattr(rule, 'op', '>=')}VALUE"
        )
    return after


def _edit_preset_rule(values: dict[str, Any], edit: Edit) -> None:
    """A rule of a preset: its threshold or its state; whatever is asked of it but `disabled` applies it."""
    for field, added, removed in (("disabled", "disabled", True), ("flagged", "flag", edit.value == "drop")):
        rest = tuple(name for name in values[field] if name != edit.name)
        if edit.value == added:
            values[field] = (*rest, edit.name)
        elif removed:
            values[field] = rest
    if edit.value not in STATES:
        rule = next(rule for preset in values["presets"] for rule in PRESETS[preset] if rule.name == edit.name)
        values["rules"] = {**values["rules"], edit.name: _value(edit, rule.value)}


def _edit_own_rule(config: FilterConfig, values: dict[str, Any], edit: Edit) -> bool:
    """A rule that the source wrote itself, whichever list of the filter holds it."""
    for field in type(config).model_fields:
        items = getattr(config, field)
        if not isinstance(items, tuple):
            continue
        for place, item in enumerate(items):
            if not isinstance(item, Config) or getattr(item, "name", None) != edit.name:
                continue
            own = list(values[field])
            if edit.value == "disabled":
                del own[place]
            elif edit.value in STATES:
                own[place] = {**own[place], "action": "flag" if edit.value == "flag" else "drop"}
            elif "value" in own[place]:
                own[place] = {**own[place], "value": _value(edit, own[place]["value"])}
            else:
                raise BadEditError(f"{edit.text!r}: {edit.name} has no threshold; it can be {', '.join(STATES)}")
            values[field] = tuple(own)
            return True
    return False


def _new_rule(edit: Edit, taken: set[str]) -> dict[str, Any]:
    name = f"what_if_{edit.name}"[:70]
    name = next(item for item in (name, *(f"{name}_{n}" for n in range(2, 99))) if item not in taken)
    value: Any = tuple(_listed(edit.value)) if edit.op == "in" else _number(edit.value)
    return {"name": name, "signal": edit.name, "op": edit.op, "value": edit.value if value is None else value}


def _value(edit: Edit, before: Any) -> Any:
    """The typed value, of the kind of the threshold that it replaces."""
    if isinstance(before, tuple | list):
        return tuple(_listed(edit.value))
    if isinstance(before, str):
        return edit.value
    number = _number(edit.value)
    if number is None:
        raise BadEditError(f"{edit.text!r}: {edit.name} takes a number, or one of {', '.join(STATES)}")
    return number


def _number(text: str) -> float | None:
    try:
        return float(text.replace("_", ""))
    except ValueError:
        return None


def _listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _validated(values: dict[str, Any], edit: Edit) -> FilterConfig:
    try:
        return FilterConfig.model_validate(values)
    except ValidationError as error:
        said = "; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors(include_url=False))
        raise BadEditError(f"{edit.text!r}: {said}") from None


def _unknown(edit: Edit, configs: list[FilterConfig], columns: list[str]) -> str:
    where = f"the source {edit.source}" if edit.source else "any source"
    if edit.op != "=":
        return f"{edit.text!r}: there is no signal {edit.name!r}{nearest(edit.name, columns)}"
    names = {rule.name for config in configs for rule in config.resolved()}
    names |= {name for config in configs for name in config.disabled}
    near = nearest(edit.name, sorted(names))
    if not near and edit.name in columns:
        near = f"; {edit.name} is a signal: a new rule over it is written {edit.name}>=VALUE"
    listed = f"; there are {', '.join(sorted(names))}" if names else "; no rules are declared there"
    return f"{edit.text!r}: no rule of {where} is called {edit.name!r}{near or listed}"


def nearest(name: str, known: list[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    near = get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""
