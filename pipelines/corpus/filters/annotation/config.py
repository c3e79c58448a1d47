"""What the project file says about labels that people gave."""

from typing import Literal

from pydantic import Field

from pipelines.core.config import Config, operational


class AnnotationConfig(Config):
    """Labels of documents, in files that people filled in; every change of the files is another version."""

    folder: str = operational("labels", "Folder of JSONL and CSV files of labels, read in the order of their names.")
    labels: tuple[str, ...] = Field(min_length=2, description="The labels that may be given; another one is an error.")
    batches: tuple[str, ...] = Field(
        (), description="Batches that hold the labelled documents: a row without a text is the document of its id."
    )
    scale: Literal["nominal", "ordinal", "interval"] = Field(
        "nominal", description="What distance two labels have: none, by order in `labels`, or as numbers."
    )
    span_labels: tuple[str, ...] = Field((), description="Labels that a span inside a text may have; none: no spans.")
    resolve: Literal["majority", "unanimous"] = Field(
        "majority", description="Which label a document gets of several people's; without it the document is left out."
    )
    min_alpha: float = Field(0.0, ge=-1, le=1, description="Krippendorff's alpha below which a check warns.")
