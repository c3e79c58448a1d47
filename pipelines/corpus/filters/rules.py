"""A rule as the project file writes it: data, never code.

A rule states what a document must satisfy to be kept: `signal op value`, e.g. `n_plain_words >= 50`. The published
filters reject with strict comparisons, so equality passes: a rejecting `<` is the rule `>=`, a rejecting `>` is `<=`.
"""

from typing import Annotated, Literal

from pydantic import Field, StrictStr, model_validator

from pipelines.core.config import Config

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,79}$"


class Rule(Config):
    """One condition on one signal."""

    name: str = Field(
        pattern=NAME_PATTERN, description="The name under which decisions, counts and reports show the rule."
    )
    signal: str = Field(min_length=1, description="The column of a quality signal that the rule looks at.")
    op: Literal[">=", ">", "<=", "<", "==", "in"] = Field(description="The comparison that a kept document satisfies.")
    value: Annotated[float, Field(allow_inf_nan=False)] | StrictStr | tuple[StrictStr, ...] = Field(
        description="The threshold; a text for `==` on a text signal, a list of texts for `in`."
    )
    languages: tuple[str, ...] = Field(
        default=(), description="Judge only documents detected as one of these languages; empty: all."
    )
    action: Literal["drop", "flag"] = Field(
        default="drop", description="Drop a failing document, or only record that it failed."
    )
    missing: Literal["fail", "pass"] = Field(
        default="fail", description="What a document without a value for the signal does."
    )

    @model_validator(mode="after")
    def _value_fits(self) -> "Rule":
        kind = {"in": tuple, "==": float | str}.get(self.op, float)
        if not isinstance(self.value, kind):
            raise ValueError(
                f"rule {self.name!r}: `{self.op}` takes {_WANTED.get(self.op, 'a number')}, not {self.value!r}"
            )
        return self

    def with_value(self, value: float | str | tuple[str, ...]) -> "Rule":
        """The same rule at another threshold, validated."""
        return Rule.model_validate({**self.model_dump(), "value": value})

    def flagging(self) -> "Rule":
        """The same rule, recording without dropping."""
        return self.model_copy(update={"action": "flag"})


_WANTED = {"in": "a list of texts", "==": "a number or a text"}
