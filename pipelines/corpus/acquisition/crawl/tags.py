"""Start tags of an HTML text with their attributes, in the order of the source, without building a tree.

Step 1: the tokenizer's rules of the HTML standard (section 13.2.5) tell tags, comments and text apart; what scripts,
styles and the like hold is text. Step 2: below `svg` and `math` there is no such text, as far as their own elements go;
a `template` holds nothing of the page. Each byte is looked at a fixed number of times, whatever the page is: a tree
builder looks again at everything that is open for each `</b>` that closes nothing, and lexbor for each attribute at all
others of its tag (4 MB of them take it six minutes). HTML inside of SVG or MathML elements is told apart by its own
tags alone. Without the decoding about 90 MB/s.
"""

import re
from collections.abc import Collection, Iterator
from html import unescape
from html.entities import html5
from typing import Final

_S: Final = r"[\t\n\f\r ]"
_VALUE: Final = r"""(?:"[^"]*+"|'[^']*+'|(?=>)|[^\t\n\f\r >"'][^\t\n\f\r >]*+)"""
# An equals sign without a value is one whose quotes do not end: it takes the rest of the page with it.
_ATTRIBUTE: Final = rf"[^\t\n\f\r />][^\t\n\f\r />=]*+(?:{_S}*+={_S}*+{_VALUE}|(?!{_S}*+=))"
_OPENING: Final = re.compile(r"<(?=[A-Za-z/!?])")
_TAG: Final = re.compile(rf"</?([A-Za-z][^\t\n\f\r />]*+)((?:(?:{_S}|/)*+{_ATTRIBUTE})*+)((?:{_S}|/)*+)>")
_PARTS: Final = re.compile(
    rf"([^\t\n\f\r />][^\t\n\f\r />=]*+)(?:{_S}*+={_S}*+"
    r"""(?:"([^"]*+)"|'([^']*+)'|([^\t\n\f\r >"'][^\t\n\f\r >]*+)?))?"""
)
_COMMENT_END: Final = re.compile(r"--!?>")
_SCRIPT_STEP: Final = re.compile(r"<!--|-->|<(/?)script(?=[\t\n\f\r />])", re.IGNORECASE)
_RAW: Final = frozenset(("script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title", "plaintext"))
_RAW_END: Final = {
    name: re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE) for name in _RAW - {"script", "plaintext"}
}
_FOREIGN: Final = frozenset(("svg", "math"))
_BREAKOUT: Final = frozenset((
    "b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed", "h1", "h2",
    "h3", "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre",
    "ruby", "s", "small", "span", "strong", "strike", "sub", "sup", "table", "tt", "u", "ul", "var",
))  # fmt: skip
"""Start tags that end foreign content (section 13.2.6.5)."""
_REFERENCE: Final = re.compile(
    r"&(?:#(?:[xX]([0-9A-Fa-f]++)|([0-9]++));?|([A-Za-z][A-Za-z0-9]{0,31})(?![A-Za-z0-9])(;?))"
)


def start_tags(text: str, wanted: Collection[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """(name, attributes) of the start tags with `wanted` names; both in lower case, of equal attributes the first."""
    at = foreign = templates = 0
    while opening := _OPENING.search(text, at):
        tag = _TAG.match(text, opening.start())
        if tag is None:
            at = _behind_no_tag(text, opening.start(), bool(foreign))
            continue
        name, at = tag[1].lower(), tag.end()
        if text[tag.start() + 1] == "/":
            foreign -= bool(foreign) and name in _FOREIGN
            templates -= bool(templates) and name == "template"
            continue
        if foreign and name in _BREAKOUT:
            foreign = 0
        if name in wanted and not templates:
            yield name, _attributes(tag[2])
        if name in _FOREIGN:
            foreign += not tag[3].endswith("/")
        elif name == "template":
            templates += not foreign
        elif name in _RAW and not foreign:
            at = _raw_end(text, at, name)


def _behind_no_tag(text: str, at: int, foreign: bool) -> int:
    """Where reading goes on behind a `<` that begins a comment, or a tag without an end."""
    following = text[at + 1 : at + 2]
    if following == "!" and text.startswith("--", at + 2):
        # `<!-->` and `<!--->` are comments too.
        for short in (">", "->"):
            if text.startswith(short, at + 4):
                return at + 4 + len(short)
        end = _COMMENT_END.search(text, at + 4)
        return end.end() if end else len(text)
    if foreign and text.startswith("![CDATA[", at + 1):
        return _behind(text, "]]>", at)
    letter = text[at + 2 : at + 3] if following == "/" else following
    if letter.isascii() and letter.isalpha():
        return len(text)  # the page ends inside of the tag
    return _behind(text, ">", at)


def _behind(text: str, what: str, at: int) -> int:
    found = text.find(what, at)
    return found + len(what) if found >= 0 else len(text)


def _raw_end(text: str, at: int, name: str) -> int:
    """Where the end tag of an element that holds text alone begins."""
    if name == "plaintext":
        return len(text)
    if name != "script":
        end = _RAW_END[name].search(text, at)
        return end.start() if end else len(text)
    # A script in a comment in a script does not end it (the escaped states, 13.2.5.18 to 31).
    commented = nested = False
    for step in _SCRIPT_STEP.finditer(text, at):
        if step[0] == "-->":
            commented = nested = False
        elif step[0] == "<!--":
            commented = commented or not text.startswith((">", "->"), step.end())
        elif step[1] and not nested:
            return step.start()
        elif commented:
            nested = not step[1]
    return len(text)


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, double, single, bare in _PARTS.findall(text):
        found.setdefault(name.lower(), attribute_value(double or single or bare))
    return found


def attribute_value(text: str) -> str:
    """The value with its character references resolved by the rules of attributes."""
    return (_REFERENCE.sub(_resolve, text) if "&" in text else text).replace("\0", "\ufffd")


def _resolve(match: re.Match[str]) -> str:
    hexadecimal, decimal, name, end = match.groups()
    if name:
        # `&copy=1` of a query is no sign, `&copy;=1` is one.
        key = name + end if end else name
        follows = match.string[match.end() : match.end() + 1]
        return html5[key] if key in html5 and (end or follows != "=") else match[0]
    digits = (hexadecimal or decimal).lstrip("0") or "0"
    return unescape(f"&#{'x' if hexadecimal else ''}{digits};") if len(digits) < 8 else "\ufffd"
