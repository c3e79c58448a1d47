"""A rule as the project file writes it: data, never code.

A rule states what a document must satisfy to be kept: `signal op value`, e.g. `n_plain_words >= 50`. The signal may be
an expression, `keyword_spam_hits / n_words`; a rule whose signal is a condition, `n_words >= 50 or language == "zh"`,
needs neither `op` nor `value` (`pipelines.core.expressions` has the language). The published
filters reject with strict comparisons, so equality passes: a rejecting `<` is the rule `>=`, a rejecting `>` is `<=`.
"""

from typing import Annotated, Literal

from pydantic import Field, StrictStr, field_validator, model_validator

from pipelines.core.config import Config
from pipelines.core.expressions import parse_expression

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,79}$"


class Rule(Config):
    """One condition on one signal."""

    name: str = Field(
        pattern=NAME_PATTERN, description="The name under which decisions, counts and reports show the rule."
    )
    signal: str = Field(
        min_length=1,
        description="The column of a quality signal that the rule looks at, or an expression over such columns.",
    )
    op: Literal[">=", ">", "<=", "<", "==", "in"] = Field(
        default="==",
        description="The comparison that a kept document satisfies; left out when `signal` is a condition.",
    )
    value: Annotated[float, Field(allow_inf_nan=False)] | StrictStr | tuple[StrictStr, ...] = Field(
        default=1.0,
        description="The threshold: a number, a text for `==`, a list of texts for `in`; left out for a condition.",
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

    @field_validator("signal")
    @classmethod
    def _signal_reads(cls, signal: str) -> str:
        """One spelling for equal expressions, so that white space never enters an identity."""
        return parse_expression(signal).text

    @model_validator(mode="after")
    def _value_fits(self) -> "Rule":
        if not {"op", "value"} <= self.model_fields_set and not parse_expression(self.signal).is_condition:
            raise ValueError(
                f"rule {self.name!r}: `signal` {self.signal!r} is not a condition, so the rule needs `op` and `value`"
            )
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
