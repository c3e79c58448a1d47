"""Configuration of a source's metadata columns: what is read, and the ordered list of operations on it."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from pipelines.core.config import Config

ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
SignalKind = Literal["value", "filled", "score", "outlier", "dropped"]
THRESHOLDS: Final = {"zscore": 3.0, "iqr": 1.5, "mad": 3.5}
"""Usual thresholds: three standard deviations; Tukey's fences; Iglewicz and Hoaglin's modified z-score."""


class MetadataColumn(Config):
    """One numeric column."""

    field: str | None = Field(
        None, min_length=1, description="Name in the document's `meta`, dots for what is inside; none: the column's."
    )
    kind: Literal["number", "time"] = Field(
        "number",
        description="Numbers (also as text: 1,234, 1.2k, 3万; true is 1), or ISO 8601 times, as seconds since 1970.",
    )


class DropRows(Config):
    """Documents with a gap are marked in `metadata_dropped`, and later operations learn nothing from them."""

    operation: Literal["drop_rows"] = Field("drop_rows", description="Which operation this is.")
    columns: tuple[ColumnName, ...] = Field((), description="Columns that must have a value; none means all.")


class DropColumns(Config):
    """Columns that are mostly gaps have no values any more; they keep their place, so rules meet `missing`."""

    operation: Literal["drop_columns"] = Field("drop_columns", description="Which operation this is.")
    columns: tuple[ColumnName, ...] = Field((), description="Columns that are looked at; none means all.")
    max_missing: float = Field(0.5, ge=0, le=1, description="Share of gaps in the batch that a column may have.")


class Fill(Config):
    """Gaps of a column are filled, and the rows marked in `meta_<column>_filled`."""

    operation: Literal["fill"] = Field("fill", description="Which operation this is.")
    column: ColumnName = Field(description="The column.")
    method: Literal["constant", "mean", "median", "interpolation", "regression", "nearest"] = Field(
        description="What a gap becomes: a value, the batch's mean or median, linear along another column, or what a "
        "model says: a linear regression, or the mean of the documents that are nearest in other columns."
    )
    value: float | None = Field(None, description="The constant.")
    along: ColumnName | None = Field(None, description="Column that interpolation runs along, e.g. a time.")
    predictors: tuple[ColumnName, ...] = Field(
        (), description="Columns that the regression (least squares) or the distances to neighbours look at."
    )
    neighbours: int = Field(5, ge=1, le=1000, description="For nearest: how many documents a gap is the mean of.")
    donors: int = Field(
        2000, ge=1, le=50_000, description="For nearest: at most this many documents of the batch are looked through."
    )

    @model_validator(mode="after")
    def _fits(self) -> "Fill":
        wanted = {
            "constant": "value",
            "interpolation": "along",
            "regression": "predictors",
            "nearest": "predictors",
        }.get(self.method)
        given = [name for name in ("value", "along", "predictors") if getattr(self, name) not in (None, ())]
        if given != ([wanted] if wanted else []):
            raise ValueError(
                f"fill by {self.method} takes {wanted or 'none of value, along and predictors'}, not "
                f"{', '.join(given) or 'nothing'}"
            )
        others = sorted({"neighbours", "donors"} & self.model_fields_set)
        if others and self.method != "nearest":
            raise ValueError(f"fill by {self.method} has no {' and no '.join(others)}: method nearest has")
        if self.donors < self.neighbours:
            raise ValueError(f"donors {self.donors} are fewer than neighbours {self.neighbours}")
        if self.column in (self.along, *self.predictors) or len(set(self.predictors)) != len(self.predictors):
            raise ValueError(f"fill of {self.column}: use other columns, each once")
        return self


class Outliers(Config):
    """How far a value is out of the batch, in `meta_<column>_<method>`, and whether beyond the threshold."""

    operation: Literal["outliers"] = Field("outliers", description="Which operation this is.")
    column: ColumnName = Field(description="The column.")
    method: Literal["zscore", "iqr", "mad"] = Field(
        description="Standard deviations from the mean; IQRs outside the quartiles; modified z-score (median and MAD)."
    )
    threshold: float | None = Field(
        None, gt=0, description="Beyond this a value is an outlier; none means 3 (zscore), 1.5 (iqr), 3.5 (mad)."
    )
    ddof: Literal[0, 1] = Field(1, description="For zscore: 1 for the deviation of a sample, 0 of a population.")
    action: Literal["flag", "missing"] = Field("flag", description="Only mark outliers, or make gaps of them as well.")

    @property
    def limit(self) -> float:
        return THRESHOLDS[self.method] if self.threshold is None else self.threshold


MetadataOperation = Annotated[DropRows | DropColumns | Fill | Outliers, Field(discriminator="operation")]


class MetadataConfig(Config):
    """Numeric columns of a source's metadata, as the signals `meta_<column>`, and the operations on them in order."""

    columns: dict[ColumnName, MetadataColumn] = Field(min_length=1, max_length=64, description="Columns by name.")
    operations: tuple[MetadataOperation, ...] = Field(
        (), description="In order: drop_rows, drop_columns, fill, outliers; each sees what the one before left."
    )

    @model_validator(mode="after")
    def _names(self) -> "MetadataConfig":
        for name in _used(self.operations):
            if name not in self.columns:
                raise ValueError(f"there is no column {name!r}; there are {', '.join(self.columns)}")
        signals = [name for name, _ in self.signals()]
        twice = sorted({name for name in signals if signals.count(name) > 1})
        if twice:
            raise ValueError(f"two operations or columns make the signal {twice[0]!r}: leave one out")
        return self

    def signals(self) -> list[tuple[str, SignalKind]]:
        """The signals that the family has, in order, each with what it is: a number, or a mark (true or false)."""
        found: list[tuple[str, SignalKind]] = [(f"meta_{name}", "value") for name in self.columns]
        filled = {item.column for item in self.operations if isinstance(item, Fill)}
        found += [(f"meta_{name}_filled", "filled") for name in self.columns if name in filled]
        for item in self.operations:
            if isinstance(item, Outliers):
                name = f"meta_{item.column}_{item.method}"
                found += [(name, "score"), (f"{name}_outlier", "outlier")]
        if any(isinstance(item, DropRows) for item in self.operations):
            found.append(("metadata_dropped", "dropped"))
        return found


def _used(operations: Sequence[MetadataOperation]) -> Iterator[str]:
    for item in operations:
        if isinstance(item, DropRows | DropColumns):
            yield from item.columns
        elif isinstance(item, Fill):
            yield from (item.column, *([item.along] if item.along else []), *item.predictors)
        else:
            yield item.column
