"""Operations by a declared table: abbreviations written out, variants of spelling made one.

Whole words only, longest entry first, one pass from left to right. Tables whose values hold keys are refused, so a
second pass changes nothing. For keys and classical tasks, not for pretraining text.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from pipelines.corpus.normalization.config import Abbreviations, Spelling

_PAIRS: Final = """
aeroplane airplane, analyse analyze, analysed analyzed, analysing analyzing, apologise apologize, armour armor,
behaviour behavior, behavioural behavioral, cancelled canceled, cancelling canceling, catalogue catalog, centre center,
centred centered, centres centers, colour color, coloured colored, colours colors, cosy cozy, criticise criticize,
defence defense, dialogue dialog, endeavour endeavor, favour favor, favourite favorite, favours favors, fibre fiber,
fibres fibers, flavour flavor, flavours flavors, fulfil fulfill, grey gray, harbour harbor, honour honor,
honoured honored, honours honors, humour humor, jewellery jewelry, judgement judgment, kilometre kilometer,
kilometres kilometers, labelled labeled, labelling labeling, labour labor, litre liter, litres liters,
manoeuvre maneuver, marvellous marvelous, metre meter, metres meters, modelled modeled, modelling modeling,
mould mold, moustache mustache, neighbour neighbor, neighbourhood neighborhood, neighbours neighbors, offence offense,
organisation organization, organisations organizations, organise organize, organised organized, paediatric pediatric,
plough plow, prioritise prioritize, programme program, programmes programs, pyjamas pajamas, realise realize,
realised realized, recognise recognize, recognised recognized, rumour rumor, sceptical skeptical, signalled signaled,
specialise specialize, sulphur sulfur, summarise summarize, theatre theater, theatres theaters, traveller traveler,
travelled traveled, travelling traveling, tyre tire, tyres tires, utilise utilize, vapour vapor, vigour vigor,
woollen woolen
"""
"""British, American. Words that are two words in one of them (practise, storey, cheque, licence) are left out."""
_WORDS: Final = _PAIRS.replace(",", " ").split()
BRITISH_TO_AMERICAN: Final[Mapping[str, str]] = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
AMBIGUOUS: Final = frozenset(
    ["catalog", "dialog", "judgment", "meter", "meters", "program", "programs", "tire", "tires"]
)
"""American words that are right in British English, too, with another meaning: never turned into the other one."""


def abbreviations(text: str, config: Abbreviations, language: str | None) -> str:
    """Abbreviations of the table written out; a full stop that ends a line as well stays."""
    if language not in config.languages:
        return text
    table = _Table.of(config.table)

    def expand(found: re.Match[str]) -> str:
        written, rest = table.value(found[0]), text[found.end() :][:1]
        return written + "." if found[0].endswith(".") and rest in ("", "\n") else written

    return table.pattern.sub(expand, text)


def spelling(text: str, config: Spelling, language: str | None) -> str:
    """Words of the table in the spelling to use, with the case they had: all small, first or all capital."""
    if language not in config.languages:
        return text
    table = _Table.of(_spellings(config.variant) | config.table)

    def change(found: re.Match[str]) -> str:
        word = found[0]
        if word.islower():
            return table.table[word]
        if word == word.capitalize():
            return table.table[word.lower()].capitalize()
        return table.table[word.lower()].upper() if word.isupper() else word

    return table.insensitive.sub(change, text)


@cache
def _pairs(variant: str | None) -> tuple[tuple[str, str], ...]:
    if variant == "american":
        return tuple(BRITISH_TO_AMERICAN.items())
    if variant == "british":
        return tuple((right, left) for left, right in BRITISH_TO_AMERICAN.items() if right not in AMBIGUOUS)
    return ()


def _spellings(variant: str | None) -> dict[str, str]:
    return dict(_pairs(variant))


class _Table:
    """A table with its patterns, compiled once."""

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self.table = dict(pairs)
        self._capital = {key[:1].upper() + key[1:]: value[:1].upper() + value[1:] for key, value in pairs}
        written = sorted({*self.table, *self._capital}, key=lambda key: (-len(key), key))
        words = sorted(self.table, key=lambda key: (-len(key), key))
        self.pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, written))})(?!\w)")
        self.insensitive = re.compile(rf"(?<![\w'’])(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)

    @staticmethod
    def of(table: Mapping[str, str]) -> "_Table":
        return _compiled(tuple(table.items()))

    def value(self, key: str) -> str:
        return self.table.get(key) or self._capital[key]


@cache
def _compiled(pairs: tuple[tuple[str, str], ...]) -> _Table:
    return _Table(pairs)
