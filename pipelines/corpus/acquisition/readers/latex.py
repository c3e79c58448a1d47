r"""LaTeX sources to records: a document with what it includes, as source without comments and preamble.

One file comes in, and the other files of its batch (`Siblings`). Step 1: a file with `\begin{document}` is a document;
`\input`, `\include`, `\subfile` and `\import` are replaced by their files, which are looked for among the siblings
only, so nothing outside of the sealed inventory is ever read. A file without is dropped where another file of its
project includes it, and a document of its own where none does. Step 2: comments go (`%` to the end of the line, the
`comment` environment, `\iffalse` to `\fi`), and stay in verbatim environments. Step 3: the preamble, the bibliography
and what follows `\end{document}` go; macros without arguments that the preamble defines are written out, because their
definitions go. Text, sections, environments and maths stay as they are written: models read LaTeX. The title goes into
`meta`, and so do the names of included files that are not there. Locator: `name#0`. Cost: 5 MB/s.
"""

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.inventory import escape_path
from pipelines.corpus.acquisition.readers import folder
from pipelines.corpus.acquisition.records import Drop, Record, detail
from pipelines.corpus.extraction.encoding import decode

MAX_DEPTH: Final = 16
"""Files included in one another; also the end of a file that includes itself."""
MAX_INPUTS: Final = 10_000
MAX_ONE_PROJECT: Final = 2000
"""Files of a batch beyond which those at its root are a heap of single documents, each linked to the others there."""
MAX_SEARCHED_FOLDERS: Final = 64
"""Folders above a file in which the main file of its project is looked for."""
MAX_VERB: Final = 1000
"""Characters of a `\\verb`, which ends on its line."""
CACHED_CHARACTERS: Final = 16 << 20
"""Of included files without their comments; a preamble that every chapter of a book includes is decoded once."""
MAX_MACROS: Final = 500
MAX_MACRO_CHARACTERS: Final = 300
_BEGIN, _END = "\\begin{document}", "\\end{document}"
_VERBATIM: Final = r"verbatim\*?|Verbatim|lstlisting|minted|alltt|filecontents\*?"
_INPUT = re.compile(
    r"\\(?:input|include|subfile)\s*\{([^{}]{1,200})\}|\\input\s+([^\s\\{}%]{1,200})"
    r"|\\(?:sub)?import\*?\s*\{([^{}]{0,200})\}\s*\{([^{}]{1,200})\}"
)
_MARKUP = re.compile(
    rf"\\begin\{{({_VERBATIM})\}}|\\verb\*?([^\w\s*])|\\begin\{{comment\}}|\\iffalse\b|\\.|%", re.DOTALL
)
_CONDITION = re.compile(r"\\(if[a-zA-Z]*|fi)\b")
_BIBLIOGRAPHY = re.compile(
    r"\\begin\{thebibliography\}.*?(?:\\end\{thebibliography\}|\Z)|\\(?:bibliography(?:style)?|printbibliography)"
    r"(?:\[[^\]]{0,200}\])?(?:\{[^{}]{0,500}\})?",
    re.DOTALL,
)
_DEFINITION = re.compile(
    r"\\(?:(?:re|provide)?newcommand|providecommand|DeclareMathOperator)(\*?)\s*\{?\\([A-Za-z]{1,40})\}?\s*(?=\{)"
    r"|\\def\s*\\([A-Za-z]{1,40})\s*(?=\{)"
)
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_TITLE = re.compile(r"\\title(?:\s*+\[[^\]]{0,300}+\])?+\s*+(?=\{)")
_BLANK = re.compile(r"(?<![ \t])[ \t]++$|\n{3,}", re.MULTILINE)


class Siblings:
    """The files that a document may include, by their inventory paths; read once to see who includes whom."""

    def __init__(self, files: Mapping[str, Path], config: ReaderConfig) -> None:
        self.files, self._config = files, config
        self._one = is_one_project(files)
        self._groups: dict[str, list[str]] = {}
        for name in files:
            self._groups.setdefault(self._group(name), []).append(name)
        self._included: dict[str, set[str]] = {}
        self._texts: dict[str, str | None] = {}
        self._left = CACHED_CHARACTERS

    def included(self, name: str) -> bool:
        """Whether another file of the same project includes `name`."""
        group = self._group(name)
        if group not in self._included:
            self._included[group] = set(self._targets(group))
        return name in self._included[group]

    def text(self, name: str) -> str | None:
        """The file without its comments, None where it is empty or none; kept as far as `CACHED_CHARACTERS` goes."""
        if name in self._texts:
            return self._texts[name]
        text = _read(self.files[name], self._config)
        if len(text or "") <= self._left:
            self._left -= len(text or "")
            self._texts[name] = text
        return text

    def _group(self, name: str) -> str:
        return "" if self._one else project_of(name)

    def _targets(self, group: str) -> Iterator[str]:
        for name in self._groups.get(group, ()):
            for match in _INPUT.finditer(_read(self.files[name], self._config) or ""):
                # Its main file, from whose folder names count, may lie in any folder above it.
                target = _resolve(match, _ancestors(name), self.files)
                if target is not None and target != name:
                    yield target


def is_one_project(names: Collection[str]) -> bool:
    """Whether a batch is one project: it has files at its root and is not a heap.

    The sources of a thousand papers lie in a thousand folders; one book has its main file at the root.
    """
    return len(names) <= MAX_ONE_PROJECT and any("/" not in name for name in names)


def project_of(name: str) -> str:
    """The top folder of a file, which is its project where the batch is not one as a whole."""
    return name.partition("/")[0] if "/" in name else ""


def read_records(path: Path, name: str, config: ReaderConfig, siblings: Siblings) -> Iterator[Record | Drop]:
    """The document of the file at `path`, or the drop that says why it is none; `name` is its path in the inventory."""
    for item in folder.read_records(path, name, config):
        if isinstance(item, Drop):
            yield item
            continue
        assert isinstance(item.body, bytes)
        source = without_comments(decode(item.body, item.charset, markup=False).text)
        if _BEGIN not in source and siblings.included(name):
            yield Drop(item.locator, "included_file", "another file of the folder includes it")
            continue
        missing: list[str] = []
        try:
            left = [config.max_record_bytes, MAX_INPUTS]
            whole = "".join(_with_inputs(source, name, siblings, missing, left))
        except OverflowError:
            limit = f"with what it includes more than {config.max_record_bytes} bytes or {MAX_INPUTS} files"
            yield Drop(item.locator, "record_too_large", limit)
            continue
        meta: dict[str, object] = {"missing_inputs": [detail(one) for one in missing[:20]]} if missing else {}
        preamble, begin, body = whole.partition(_BEGIN)
        if begin:
            body = body.partition(_END)[0]
        else:
            preamble, body = "", whole
        if title := _title(preamble) or _title(body):
            meta["title"] = title
        text = _expanded(_BIBLIOGRAPHY.sub("", body), _macros(preamble))
        yield item._replace(body=_BLANK.sub(_tidy, text).strip(), meta=meta, kind="text")


def without_comments(source: str) -> str:
    """The source without comments; what stands in verbatim environments is no comment."""
    pieces: list[str] = []
    at = kept = 0
    missing: set[str] = set()  # ends that were looked for in vain, so that hostile openers cost one search a kind
    while (match := _MARKUP.search(source, at)) is not None:
        at = match.end()
        token = match.group()
        if token == "%":
            pieces.append(source[kept : match.start()])
            line = source.find("\n", at)
            line = len(source) if line < 0 else line
            # As TeX: the line end goes with the comment, unless the comment had the line for itself.
            own = not source[source.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
            kept = at = line + 1 if own else line
        elif match.group(1) or token == "\\begin{comment}":
            closing = f"\\end{{{match.group(1) or 'comment'}}}"
            end = -1 if closing in missing else source.find(closing, at)
            if end < 0:
                missing.add(closing)
                continue
            at = end + len(closing)
            if not match.group(1):
                pieces.append(source[kept : match.start()])
                kept = at
        elif match.group(2):
            line = source.find("\n", at, at + MAX_VERB)
            end = source.find(match.group(2), at, line if line >= 0 else at + MAX_VERB)
            at = end + 1 if end >= 0 else at
        elif token.startswith("\\iffalse"):
            end = -1 if "\\fi" in missing else _matching_fi(source, at)
            if end < 0:
                missing.add("\\fi")
                continue
            pieces.append(source[kept : match.start()])
            kept = at = end
    pieces.append(source[kept:])
    return "".join(pieces)


def _matching_fi(source: str, at: int) -> int:
    """Behind the `\\fi` that closes a condition opened before `at`; -1 if none does."""
    depth = 1
    for match in _CONDITION.finditer(source, at):
        depth += -1 if match.group(1) == "fi" else 1
        if not depth:
            return match.end()
    return -1


def _with_inputs(
    source: str,
    name: str,
    siblings: Siblings,
    missing: list[str],
    left: list[int],
    depth: int = 0,
    base: str | None = None,
) -> Iterator[str]:
    """Pieces of the source with included files in their places. `left` is bytes and files still allowed."""
    base = posixpath.dirname(name) if base is None else base
    left[0] -= len(source)
    left[1] -= 1
    if min(left) < 0:
        raise OverflowError
    at = 0
    for match in _INPUT.finditer(source):
        yield source[at : match.start()]
        at = match.end()
        found = _resolve(match, (base, posixpath.dirname(name)), siblings.files)
        text = None if found is None or depth >= MAX_DEPTH else siblings.text(found)
        if found is None or text is None:
            missing.append(match.group())
            continue
        inner = text.partition(_BEGIN)[2].partition(_END)[0] if _BEGIN in text else text  # a subfile is a document too
        below = posixpath.dirname(found) if match.group(4) else base
        yield from _with_inputs(inner, found, siblings, missing, left, depth + 1, below)
    yield source[at:]


def _ancestors(name: str) -> list[str]:
    """The folders above a file, innermost first, the batch's root last, `MAX_SEARCHED_FOLDERS` at most."""
    folders = [posixpath.dirname(name)]
    while folders[-1] and len(folders) < MAX_SEARCHED_FOLDERS:
        folders.append(posixpath.dirname(folders[-1]))
    return folders


def _resolve(match: re.Match[str], folders: Iterable[str], siblings: Mapping[str, Path]) -> str | None:
    """The sibling that a command names, from the first of the folders that has it.

    TeX looks in the main file's folder; sources in the wild also mean the including file's own.
    """
    target = (match.group(1) or match.group(2) or posixpath.join(match.group(3) or "", match.group(4) or "")).strip()
    for folder_name in dict.fromkeys(folders):
        path = escape_path(posixpath.normpath(posixpath.join(folder_name, target)).encode("utf-8", "replace"))
        for candidate in (f"{path}.tex", path):
            if candidate in siblings:
                return candidate
    return None


def _read(path: Path, config: ReaderConfig) -> str | None:
    for item in folder.read_records(path, "", config):
        if isinstance(item, Record) and isinstance(item.body, bytes):
            return without_comments(decode(item.body, item.charset, markup=False).text)
    return None


def _braced(text: str, at: int, limit: int) -> str | None:
    """The inside of the braces that open at `at`, if they close within `limit` characters."""
    depth = 0
    for position in range(at, min(len(text), at + limit)):
        character = text[position]
        if character == "{" and text[position - 1] != "\\":
            depth += 1
        elif character == "}" and text[position - 1] != "\\":
            depth -= 1
            if not depth:
                return text[at + 1 : position]
    return None


def _title(text: str) -> str:
    match = _TITLE.search(text)
    return " ".join((_braced(text, match.end(), 1000) or "").split()) if match else ""


def _macros(preamble: str) -> dict[str, str]:
    """Macros without arguments by name, written out in one another up to three deep."""
    macros: dict[str, str] = {}
    for match in _DEFINITION.finditer(preamble):
        name = match.group(2) or match.group(3)
        body = _braced(preamble, match.end(), MAX_MACRO_CHARACTERS)
        if body is not None and "#" not in body and len(macros) < MAX_MACROS:
            operator = "DeclareMathOperator" in match.group()
            macros[name] = f"\\operatorname{match.group(1)}{{{body}}}" if operator else body
    for _ in range(3):
        macros = {name: _short(_expanded(body, macros), body) for name, body in macros.items()}
    return macros


def _short(expanded: str, body: str) -> str:
    return expanded if len(expanded) <= MAX_MACRO_CHARACTERS else body


def _expanded(text: str, macros: Mapping[str, str]) -> str:
    return _COMMAND.sub(lambda match: macros.get(match.group(1), match.group()), text) if macros else text


def _tidy(match: re.Match[str]) -> str:
    return "\n\n" if match.group().startswith("\n") else ""
