"""What is evaluated and how: the `evaluation` section of the project file.

A task file is described by naming its fields, never by naming a benchmark, so any JSONL of multiple-choice items fits.
"""

import re
from typing import Literal

from pydantic import Field, model_validator

from pipelines.core.config import Config

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""A field of the record inside a template; every other brace is text."""


class TaskConfig(Config):
    """One multiple-choice task: where its items are and which of their fields say what."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="Name of the task in tables, plots and digests.")
    file: str = Field(min_length=1, description="JSONL file of the items, plain, .gz or .zst; one item a line.")
    question: str | None = Field("question", description="Field with the text that every choice continues.")
    choices: str | None = Field("choices", description="Field with the list of choices, each a continuation.")
    contexts: str | None = Field(
        None, description="Field with one context per choice, all continued by the same text (Winogrande's layout)."
    )
    continuation: str | None = Field(None, description="Field with the text that continues every one of `contexts`.")
    gold: str = Field("gold", description="Field with the right choice.")
    gold_as: Literal["index", "letter", "text"] = Field(
        "index", description="How `gold` names the choice: index from 0, letter from A, or the choice's own text."
    )
    template: str | None = Field(
        None, description="Context built from the record's fields, as in 'Question: {question}\\nAnswer:'."
    )
    delimiter: str = Field(" ", description="Text between the context and the continuation; '' suits Chinese.")
    id: str | None = Field(None, description="Field with the item's identifier; without it the line number is used.")
    group: str | None = Field(None, description="Field whose values get scores of their own, e.g. a subject.")
    where: dict[str, str | int | bool] = Field(
        default_factory=dict, description="Fields and the values that an item must have to belong to the task."
    )
    max_items: int | None = Field(None, ge=1, description="Score at most this many items, chosen by the seed.")

    @model_validator(mode="after")
    def _one_layout(self) -> "TaskConfig":
        paired = (self.contexts is not None, self.continuation is not None)
        if any(paired):
            if not all(paired):
                raise ValueError("`contexts` and `continuation` are declared together")
            if {"question", "choices"} & self.model_fields_set:
                raise ValueError("declare `question` and `choices`, or `contexts` and `continuation`, not both")
            if self.template is not None:
                raise ValueError("`template` builds the context from `question`; with `contexts` it has no place")
        elif self.question is None or self.choices is None:
            raise ValueError("declare `question` and `choices`, or `contexts` and `continuation`")
        return self

    @property
    def context_per_choice(self) -> bool:
        """Whether the choices differ in their context (and share a continuation)."""
        return self.contexts is not None


class EvaluationConfig(Config):
    """Held-out bits per byte, tasks, and the statistics over them."""

    tasks: tuple[TaskConfig, ...] = Field((), description="Multiple-choice tasks, in the order of the report.")
    bootstrap_samples: int = Field(
        2000, ge=100, le=100_000, description="Resamples behind every interval; 2,000 put 50 in each 2.5 % tail."
    )
    confidence: float = Field(0.95, gt=0.5, lt=1.0, description="Probability that an interval aims to cover.")
    min_documents: int = Field(
        6,
        ge=2,
        description="Fewer documents (or items) give no verdict: 6 equal signs by chance are 2 * 0.5^6 = 3 %.",
    )
    seed: int = Field(0, ge=0, description="Seed of resamples and subsets; every domain has a stream of its own.")
    max_documents: int | None = Field(
        500, ge=1, description="Held-out documents scored per domain, chosen by the seed; null scores all of them."
    )
    window: int | None = Field(
        None, ge=1, description="Tokens the model sees at once when scoring; null is its whole context length."
    )
    stride: int | None = Field(
        None,
        ge=1,
        description="Tokens scored per window after the first; null is `window`: disjoint windows.",
    )
    context_prefix: Literal["none", "end_of_text"] = Field(
        "none", description="Token before a task's context: none as in lm-eval, or an end-of-text as before a document."
    )
    batch_tokens: int = Field(
        4096, ge=1, description="Padded tokens per forward pass; it moves the last bits of a float, so it is identity."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "EvaluationConfig":
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names):
            raise ValueError(f"task names must differ: {sorted({n for n in names if names.count(n) > 1})} repeat")
        if self.window is not None and self.stride is not None and self.stride > self.window:
            raise ValueError(f"stride {self.stride} exceeds window {self.window}: tokens between windows would be lost")
        return self

    def window_and_stride(self, context_length: int) -> tuple[int, int]:
        """The window and stride for a model that sees `context_length` tokens; `ValueError` where they do not fit."""
        window = context_length if self.window is None else self.window
        stride = window if self.stride is None else self.stride
        if window > context_length:
            raise ValueError(f"evaluation.window is {window}, but the model's context length is {context_length}")
        if stride > window:
            raise ValueError(f"evaluation.stride is {stride}, longer than the window of {window} tokens")
        return window, stride
