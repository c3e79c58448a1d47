"""HTML that is all content (chapters, answers) to text: no frame to take away, paragraphs, lists and code kept."""

from typing import Final

from pipelines.corpus.acquisition.readers.packed_xml import UnreadableError
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.extraction.html import Refusal, extract_page

_WHOLE: Final = ExtractionConfig(main_content=False)


def markup_text(html: str) -> str:
    """The text of an HTML document or fragment; UnreadableError where its structure is not safe to parse."""
    page = extract_page(html.encode("utf-8", "replace"), _WHOLE)
    if isinstance(page, Refusal):
        raise UnreadableError(page.reason, page.detail)
    return page.text.strip()
