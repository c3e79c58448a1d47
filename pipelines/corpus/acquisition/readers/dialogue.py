"""Dialogues to text: lists of turns in the layouts of instruction data, one document each by a declared template.

An object comes in. Step 1: its turns are found (OpenAI messages, ShareGPT conversations, Alpaca fields, a prompt and a
response). Step 2: each turn's role gets its word; a role that nobody declared is a drop that names it, for a dialogue
with a speaker lost is another dialogue. Step 3: turns without content are left out, the others are written by the
template and joined.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pipelines.corpus.acquisition.config import DialogueConfig

_WORDS: Final = {
    **dict.fromkeys(("system", "developer"), "System"),
    **dict.fromkeys(("user", "human", "prompter"), "User"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model", "bing", "bard"), "Assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "Call"),
    **dict.fromkeys(("tool", "function", "observation", "ipython"), "Tool"),
}
_LISTS: Final = {"messages": ("messages", "role", "content"), "sharegpt": ("conversations", "from", "value")}
_PLACE = re.compile(r"\{(role|content)\}")


def dialogue_fields(config: DialogueConfig) -> set[str]:
    """The columns that a dialogue is read from."""
    system = {config.system_field} if config.system_field else set()
    if config.layout == "alpaca":
        return system | {"history", "instruction", "input", "output"}
    if config.layout == "prompt_response":
        return system | {config.prompt_field, config.response_field}
    return system | {config.turns_field or _LISTS[config.layout][0]}


class NoDialogue(NamedTuple):
    """Why an object has no dialogue."""

    reason: str
    detail: str


class _BadTurnError(ValueError):
    pass


def dialogue_text(value: Mapping[str, Any], config: DialogueConfig) -> str | NoDialogue:
    """The dialogue in `value` as text."""
    try:
        turns = [(_word(role, config), content) for role, content in _turns(value, config) if content.strip()]
        written = [_written(word, content, config.turn) for word, content in turns if word]
    except _BadTurnError as error:
        return NoDialogue("bad_dialogue", str(error))
    return config.separator.join(written) if written else NoDialogue("no_text", "the dialogue has no turn with text")


def _written(word: str, content: str, template: str) -> str:
    """One turn by the template; braces in the content stay as they are."""
    return _PLACE.sub(lambda place: word if place.group(1) == "role" else content, template)


def _word(role: str, config: DialogueConfig) -> str:
    word = config.roles.get(role, _WORDS.get(role.lower()))
    if word is None:
        raise _BadTurnError(f"the role {role!r} has no word: declare it in `dialogue.roles`")
    return word


def _turns(value: Mapping[str, Any], config: DialogueConfig) -> Iterator[tuple[str, str]]:
    """(role, content) of every turn."""
    system = value.get(config.system_field) if config.system_field else None
    if isinstance(system, str) and system.strip():
        yield "system", system
    if config.layout == "alpaca":
        yield from _alpaca(value)
    elif config.layout == "prompt_response":
        yield "user", _string(value, config.prompt_field)
        yield "assistant", _string(value, config.response_field)
    else:
        default, role_key, content_key = _LISTS[config.layout]
        field = config.turns_field or default
        turns = value.get(field)
        if not isinstance(turns, list):
            raise _BadTurnError(f"the field {field!r} is no list of turns")
        for number, turn in enumerate(turns):
            yield from _turn(turn, number, role_key, content_key)


def _turn(turn: Any, number: int, role_key: str, content_key: str) -> Iterator[tuple[str, str]]:
    role = turn.get(role_key) if isinstance(turn, Mapping) else None
    if not isinstance(role, str):
        raise _BadTurnError(f"turn {number} has no {role_key!r}")
    content = turn.get(content_key)
    if isinstance(content, list):  # parts: text, and pictures or sounds, which are no text
        content = "\n".join(part["text"] for part in content if isinstance(part, Mapping) and _is_text(part))
    if isinstance(content, str):
        yield role, content
    elif content is not None:
        raise _BadTurnError(f"{content_key!r} of turn {number} is a {type(content).__name__}, not text")
    calls = turn.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, Mapping):
            yield "tool_call", json.dumps(call.get("function", call), ensure_ascii=False, sort_keys=True, default=str)


def _is_text(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("text"), str)


def _alpaca(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    history = value.get("history")
    for pair in history if isinstance(history, list) else ():
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(side, str) for side in pair)):
            raise _BadTurnError("`history` is no list of pairs of texts")
        yield "user", pair[0]
        yield "assistant", pair[1]
    given = value.get("input")
    asked = _string(value, "instruction")
    yield "user", f"{asked}\n\n{given}" if isinstance(given, str) and given.strip() else asked
    yield "assistant", _string(value, "output")


def _string(value: Mapping[str, Any], field: str) -> str:
    found = value.get(field)
    if not isinstance(found, str):
        raise _BadTurnError(f"the field {field!r} is missing or no text")
    return found
