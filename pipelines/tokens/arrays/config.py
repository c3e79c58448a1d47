"""Configuration of token arrays."""

from pipelines.core.config import Config, operational


class ArraysConfig(Config):
    """Nothing here changes the arrays: they follow from the documents, their splits and the tokenizer."""

    batch_documents: int = operational(
        default=2048, description="Documents taken from Arrow into Python at once.", ge=1, le=1 << 20
    )
