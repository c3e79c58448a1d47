"""What the project file says about a set of labelled texts."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from pipelines.core.config import Config, operational

LabelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


class ExamplesConfig(Config):
    """One set of texts, from a file, from batches of the corpus, or from what annotators labelled."""

    path: str | None = operational(
        None, "JSONL or CSV file (plain, .gz, .zst): absolute, beside the project file, or `package:NAME/inner/path`."
    )
    batches: tuple[str, ...] = Field((), description="Batches of the corpus whose documents are the texts.")
    query: str | None = Field(
        None, min_length=1,
        description="Of the batches, only the `max_documents` documents that BM25 finds most relevant to these words.",
    )  # fmt: skip
    annotations: str | None = Field(
        None, description="Section of `corpus.annotations` whose labelled documents these are."
    )
    text_fields: tuple[str, ...] = Field(
        ("text",), min_length=1, description="Fields of a record that make its text, in order, joined by line ends."
    )
    where: dict[str, str] = Field({}, description="Take only records in which these fields have these values.")
    label: LabelName | None = Field(None, description="The label of every text of the set.")
    label_field: str | None = Field(None, description="Field of a record that holds its label.")
    labels: dict[str, LabelName] = Field(
        {},
        description="From a label as written to ours; records with another are left out. None: every label as written.",
    )
    held_out: bool | None = Field(
        None, description="true: these texts only measure; false: they only train; null: some measure, by their hash."
    )
    max_documents: int = Field(20_000, ge=1, description="At most this many texts, chosen by a hash of the text.")

    def identity(self) -> dict[str, Any]:
        """All fields that decide the set; `query` and `held_out` where they are said, as older models have neither."""
        unsaid = {name for name in ("query", "held_out") if getattr(self, name) is None}
        return {name: value for name, value in super().identity().items() if name not in unsaid}

    @model_validator(mode="after")
    def _one_origin(self) -> "ExamplesConfig":
        origins = [name for name in ("path", "batches", "annotations") if getattr(self, name)]
        if len(origins) != 1:
            raise ValueError(f"give exactly one of path, batches and annotations, not {', '.join(origins) or 'none'}")
        if self.query is not None and not self.batches:
            raise ValueError("`query` chooses among the documents of `batches`: declare them")
        if self.batches and (self.label_field or self.where):
            raise ValueError("documents of a batch have no label field and no `where`: give `label`")
        if self.label is not None and self.label_field is not None:
            raise ValueError("give `label` for all texts, or `label_field`, not both")
        return self
