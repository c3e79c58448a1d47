"""Markdown files to records: the source as it is written, without its front matter.

One file, plain or compressed, comes in. Step 1: its bytes as of a folder source (`folder`). Step 2: a front matter
block (between two lines `---`) leaves the text; its plain `key: value` lines go into `meta`, nothing of it is
interpreted. Markup stays: models read Markdown. Locator: `name#0`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import folder
from pipelines.corpus.acquisition.records import Drop, Record
from pipelines.corpus.extraction.encoding import decode

MAX_MATTER: Final = 64 << 10
MAX_VALUES: Final = 64
_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_VALUE = re.compile(r"^([A-Za-z][\w-]{0,60}):[ \t]++(\S(?:.{0,997}?[^ \t\n])??)[ \t]*+\r?$", re.MULTILINE)


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """The one document of the file at `path`, or the drop that says why it is none."""
    for item in folder.read_records(path, name, config):
        if isinstance(item, Drop):
            yield item
            continue
        assert isinstance(item.body, bytes)
        text = decode(item.body, item.charset, markup=False).text.removeprefix("\ufeff")
        matter = _MATTER.match(text[:MAX_MATTER])
        meta: dict[str, str] = {}
        if matter:
            found = _VALUE.findall(matter.group(1))[:MAX_VALUES]
            meta = {key: value.strip("\"'") for key, value in found}
            text = text[matter.end() :]
        yield item._replace(body=text, meta=meta, kind="text")
