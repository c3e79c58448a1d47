"""Configuration of extraction: what of a page is kept, the limits of its structure, and the size of parts."""

from pydantic import Field

from pipelines.core.config import Config


class ExtractionConfig(Config):
    """How records become documents, and where parts are cut."""

    part_bytes: int = Field(
        default=64 << 20,
        ge=1 << 10,
        description="UTF-8 bytes of text after which a part ends; also the size of a unit.",
    )
    max_text_bytes: int = Field(
        default=16 << 20, ge=1 << 10, description="UTF-8 bytes of the longest document; a longer one is a counted drop."
    )
    main_content: bool = Field(
        default=True, description="Keep the main content of HTML pages only, without navigation, asides and footers."
    )
    comments: bool = Field(default=False, description="Keep readers' comments below an article.")
    post_meta: bool = Field(default=False, description="Keep bylines, dates and tags of an article.")
    alt_texts: bool = Field(default=False, description="Keep the alternative texts of images.")
    max_html_depth: int = Field(
        default=512,
        ge=16,
        le=1024,
        description="Elements inside one another beyond which a page is dropped.",
    )
    max_html_nodes: int = Field(
        default=1_000_000, ge=1000, description="Elements and runs of text of a page beyond which it is dropped."
    )
    max_html_attributes: int = Field(
        default=4096, ge=16, description="Attributes of one element beyond which a page is dropped."
    )
    max_document_seconds: float = Field(
        default=1,
        ge=0.05,
        le=3600,
        description="Seconds of processor time after which the extraction of one document is killed: a counted drop. "
        "It gets as much again for each MiB of its size, and ten times as much where operations load dictionaries.",
    )
    max_document_memory: int = Field(
        default=2 << 30,
        ge=64 << 20,
        description="Bytes that the extraction of one document may claim before it is stopped: a counted drop.",
    )
