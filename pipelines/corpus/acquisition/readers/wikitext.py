"""Wikitext to plain text: prose, headings, lists and code stay; templates, tables, references and files go.

One page's wikitext comes in. Step 1: comments go, verbatim blocks (code, math) are set aside. Step 2: references and
galleries go. Step 3: templates that only mark up text (languages, measures) become text; one pass over brackets with a
stack removes the other templates, tables, and links to files and categories. Step 4: mwparserfromhell turns the rest
into text, a paragraph at a time. Step 5: headings that lost their content go, verbatim blocks come back.

mwparserfromhell alone does not bound its time: `{{{a|` 3,000 times (15 KB) takes 8 s, `<a b=` 3,000 times 17 s, cubic
in the number of openers without an end; `<i>''a</i>` 1,000 times takes 5 s, quadratic in those that cross. Steps 1 to 3
are linear and leave it no braces; a paragraph with more markup without a partner than its length pays for (`_parsable`)
is stripped by linear patterns instead. Cost: 4 MB/s on one core, 0.03 MB/s at worst.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

import mwparserfromhell
from mwparserfromhell.definitions import is_single
from mwparserfromhell.parser import ParserError

MAX_OPENERS: Final = 64
"""Openers without an end in one paragraph; 64 of the worst kind take 6 ms more."""
SPARED: Final = 16
"""Four openers without an end are parsed however short their paragraph is."""
MAX_MARKUP: Final = 4096
"""Brackets and quote runs of any kind in one paragraph; the longest list of links of a real article has 600."""
_VERBATIM: Final = ("nowiki", "pre", "syntaxhighlight", "source", "code", "math")
_REMOVED: Final = ("ref", "gallery", "timeline", "score", "imagemap", "hiero", "graph", "mapframe", "templatestyles")
_MARK: Final = "\x02"  # XML 1.0 has no such character, so a page cannot forge a mark
_VERBATIM_OPEN = re.compile(rf"<({'|'.join(_VERBATIM)})\b([^<>]*)>", re.IGNORECASE)
_REMOVED_OPEN = re.compile(rf"<({'|'.join(_REMOVED)})\b([^<>]*)>", re.IGNORECASE)
_BRACKET = re.compile(r"\{\{|\}\}|\[\[|\]\]|^[ \t:]*\{\||^[ \t]*\|\}(?!\})", re.MULTILINE)
_CLOSES: Final = {"}}": "{{", "]]": "[[", "|}": "{|"}
_LANGUAGE_LINK = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*")
_LIST = re.compile(r"^([*#:;]+)[ \t]*", re.MULTILINE)
_HEADING_LINE = re.compile(r"^(={1,6}).*", re.MULTILINE)
_RULE = re.compile(r"^-{4,}", re.MULTILINE)
_MAGIC_WORD = re.compile(r"__[A-Z]+__")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_QUOTES: Final = ("''", "'''", "''''", "'''''")
_TOKEN = re.compile(r"\[|\]|\{[{|]|'{2,}|<(/?)([a-zA-Z][^\s<>/]*+)[^<>]*+(?<!/)>|<")
_LEFT_OVER = re.compile(
    r"</?(?:abbr|b|big|blockquote|center|cite|div|em|font|i|li|ol|p|s|small|span|strong|sub|sup|table|td|th|tr|tt|u|ul)"
    r"\b[^<>]*>|'{2,}|\[\[|\]\]|^-[ \t.,;]*$\n?",
    re.IGNORECASE | re.MULTILINE,
)
"""Markup without a partner, which the parser leaves, and list items that held a template alone."""
_TEXT_TEMPLATE = re.compile(
    r"\{\{(?:lang\|[^{}|]*+|lang-[a-z-]++|transl\|[^{}|]*+|nowrap|nobr)\|([^{}|=]*+)(?:\|[^{}=]*+)?\}\}", re.IGNORECASE
)
_MEASURE = re.compile(r"\{\{(?:convert|cvt)\|([^{}|\[\]]*+)\|([^{}|\[\]]*+)(?:[|\[\]][^{}]*+)?\}\}", re.IGNORECASE)
_LINK_TARGET = re.compile(r"\[\[[^\[\]|]*\||\[https?:[^\s\[\]]*[ \t]?")
_MARKED = re.compile(rf"{_MARK}(\d+){_MARK}")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n{3,}")


def plain_text(wikitext: str, hidden_namespaces: frozenset[str]) -> str:
    """The text of a page. `hidden_namespaces` are the lower-case names whose links are not text (file, category)."""
    kept: list[str] = []
    text = _remove_comments(wikitext.replace(_MARK, ""))
    text = "".join(_set_aside(text, kept))
    text = "".join(_without_tags(text))
    text = _MEASURE.sub(r"\1 \2", _TEXT_TEMPLATE.sub(r"\1", text))
    text = _without_brackets(text, hidden_namespaces)
    text = _MAGIC_WORD.sub("", _RULE.sub("", _BREAK.sub("\n", text)))
    text = _LIST.sub(lambda match: "- " if match.group(1)[-1] in "*#" else "", text)
    text = "\n\n".join(_filled_sections(text))
    text = _MARKED.sub(lambda match: kept[int(match.group(1))], text)
    return _BLANK_LINES.sub("\n\n", text).strip()


def _remove_comments(text: str) -> str:
    pieces, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        pieces.append(text[at:start])
        at = end + 3
    pieces.append(text[at:])
    return "".join(pieces)


def _tag_spans(text: str, opener: re.Pattern[str]) -> Iterator[tuple[int, int, int, int]]:
    """(start, content start, content end, end) of each element that `opener` begins and an end tag closes.

    A name whose end tag was looked for in vain is not looked for again: one search to the end of the text a name.
    """
    lower = text.lower() if not text.islower() else text
    if len(lower) != len(text):  # a few characters change their length in lower case
        lower = text
    at, missing = 0, set()
    while (match := opener.search(text, at)) is not None:
        at = match.end()
        name = match.group(1).lower()
        if match.group(2).endswith("/"):
            yield match.start(), at, at, at
            continue
        if name in missing:
            continue
        close = lower.find(f"</{name}", at)
        end = text.find(">", close) + 1 if close >= 0 else 0
        if not end:
            missing.add(name)
            continue
        yield match.start(), at, close, end
        at = end


def _set_aside(text: str, kept: list[str]) -> Iterator[str]:
    """The text with a mark in place of each verbatim block; the blocks' contents go into `kept`."""
    at = 0
    for start, content, content_end, end in _tag_spans(text, _VERBATIM_OPEN):
        yield text[at:start]
        if content_end > content:
            kept.append(text[content:content_end])
            yield f"{_MARK}{len(kept) - 1}{_MARK}"
        at = end
    yield text[at:]


def _without_tags(text: str) -> Iterator[str]:
    at = 0
    for start, _, _, end in _tag_spans(text, _REMOVED_OPEN):
        yield text[at:start]
        at = end
    yield text[at:]


def _without_brackets(text: str, hidden: frozenset[str]) -> str:
    """The text without templates, tables and hidden links; brackets without a partner stay, braces without one go."""
    spans: list[tuple[int, int]] = []  # what to remove, inner spans swallowed by outer ones
    stack: list[tuple[str, int]] = []
    open_count = {"{{": 0, "[[": 0, "{|": 0}
    for match in _BRACKET.finditer(text):
        token = match.group().strip(" \t:")
        opener = _CLOSES.get(token)
        if opener is None:
            stack.append((token, match.end() - 2))
            open_count[token] += 1
        elif open_count[opener]:
            while True:
                kind, start = stack.pop()
                open_count[kind] -= 1
                if kind == opener:
                    break
            if opener == "[[" and not _is_hidden(text[start + 2 : start + 66], hidden):
                continue
            while spans and spans[-1][0] >= start:
                spans.pop()
            spans.append((start, match.end()))
    pieces, at = [], 0
    for start, end in spans:
        pieces.append(text[at:start])
        at = end
    pieces.append(text[at:])
    return re.sub(r"\{{2,}|\}{2,}|^[ \t:]*\{\||^[ \t]*\|\}", "", "".join(pieces), flags=re.MULTILINE)


def _is_hidden(target: str, hidden: frozenset[str]) -> bool:
    """Whether a link is to a file, a category or the same article in another language; `:` in front shows it."""
    prefix, colon, _ = target.partition(":")
    prefix = prefix.strip().lower()
    return bool(colon) and (prefix in hidden or _LANGUAGE_LINK.fullmatch(prefix) is not None)


def _filled_sections(text: str) -> Iterator[str]:
    """Headings and paragraphs as text, without the headings that have nothing below them."""
    waiting: list[tuple[int, str]] = []
    at = 0
    for heading in [*headings(text), None]:
        body = _paragraphs(text[at : heading.start if heading else len(text)])
        if body:
            yield from (title for _, title in waiting)
            waiting.clear()
            yield body
        if heading:
            at = heading.stop
            while waiting and waiting[-1][0] >= heading.level:
                waiting.pop()
            if title := _strip_markup(heading.title):
                waiting.append((heading.level, title))


class Heading(NamedTuple):
    """A line of the text, its end left out, and the title in it."""

    start: int
    stop: int
    level: int
    title: str


def headings(text: str) -> Iterator[Heading]:
    """Lines between equals signs, at most six; the longest pair that leaves a title counts."""
    for match in _HEADING_LINE.finditer(text):
        line = match.group().rstrip(" \t")
        closing = len(line) - len(line.rstrip("="))
        level = min(len(match.group(1)), closing, (len(line) - 1) // 2)
        if level > 0:
            yield Heading(match.start(), match.end(), level, line[level:-level].strip(" \t"))


def _paragraphs(text: str) -> str:
    stripped = (_strip_markup(paragraph).strip() for paragraph in re.split(r"\n[ \t]*\n", text))
    clean = (_LEFT_OVER.sub("", paragraph).strip() for paragraph in stripped)
    return "\n\n".join(paragraph for paragraph in clean if paragraph)


def _strip_markup(text: str) -> str:
    """One paragraph without markup."""
    if "[" not in text and "<" not in text and "''" not in text and "&" not in text:
        return text.strip()
    if _parsable(text):
        try:
            return str(mwparserfromhell.parse(text).strip_code(normalize=True, collapse=True)).strip()
        except ParserError:
            pass
    text = _LINK_TARGET.sub("", _TAG.sub("", text))
    return text.replace("[[", "").replace("]]", "").replace("'''", "").replace("''", "").strip()


def _parsable(text: str) -> bool:
    """Whether mwparserfromhell takes time linear in the paragraph.

    Nothing but tags in pairs costs 10 s/MB. Markup without a partner adds 3 us times the square of its number, so the
    length has to be as large; the worst that a search over random markup found costs 30 s/MB.
    """
    unpaired, markup = _unpaired(text)
    return unpaired <= MAX_OPENERS and unpaired * unpaired <= len(text) + SPARED and markup <= MAX_MARKUP


def _unpaired(text: str) -> tuple[int, int]:
    """Brackets, tags and quote runs that nothing closes, or only behind the end of what they stand in; and all of them.

    Tags that need no end tag (list items, cells) end what stands in quotes around them.
    """
    stack: list[str] = []
    open_count: Counter[str] = Counter()
    unpaired = markup = 0
    for match in _TOKEN.finditer(text):
        token, name = match.group(), match.group(2)
        markup += token != "]"
        if name is not None:
            kind, opens, closes = f"<{name.lower()}", not match.group(1), bool(match.group(1))
            if is_single(name):
                unpaired += opens and any(open_count[quotes] for quotes in _QUOTES)
                continue
        elif token[0] in "<{":
            unpaired += 1
            continue
        elif token in "[]":
            kind, opens, closes = "[", token == "[", token == "]"
        else:
            kind = token[:5]
            closes = open_count[kind] > 0
            opens = not closes
        if opens:
            stack.append(kind)
            open_count[kind] += 1
        elif closes and open_count[kind]:
            while True:
                found = stack.pop()
                open_count[found] -= 1
                if found == kind:
                    break
                unpaired += 1
        else:
            unpaired += token != "]"
    return unpaired + len(stack), markup
