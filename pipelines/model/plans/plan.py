"""The plan: everything that one training run depends on, as one immutable JSON document.

A checkpoint asset reads nothing but its plan and the mixture made of it; a retry, a reboot or another machine with the
same store resumes the same run. Backward references (snapshot, parent, tokenizer) are manifest digests, never edges.
"""

from typing import Any, Final, Literal

from pydantic import Field

from pipelines.core.fingerprint import Algorithm, digest_json
from pipelines.core.manifest import Record
from pipelines.model.config import ArchitectureConfig, OptimiserConfig, ScheduleConfig, TrainConfig
from pipelines.tokens.mixture.config import MixtureConfig
from pipelines.tokens.mixture.spec import PartTokens

PLAN: Final = Algorithm("training-plan", 1)


class Pinned(Record):
    """An artifact of the store, by manifest and content digest."""

    asset: str
    partition: str | None
    manifest: str
    content: str


class PlannedPart(Record):
    """One part's training array: the fields of `PartTokens` and the manifest that holds it."""

    partition: str
    part: str
    digest: str
    source: str
    domain: str
    tokens: int
    documents: int
    manifest: str

    def part_tokens(self) -> PartTokens:
        return PartTokens(**{name: getattr(self, name) for name in PartTokens._fields})


class PlannedLabels(Record):
    """Signals of a batch whose source or domain is split: `digest` is that of the rows that give the labels. Both are
    null for a batch without the signal: its documents are `none`."""

    partition: str
    signal: str
    digest: str | None
    manifest: str | None


class HeldOutBatch(Record):
    """Clean documents of a batch that holds held-out documents of its domain."""

    partition: str
    domain: str
    manifest: str


class PlanEstimate(Record):
    """What follows from the plan alone; time needs a measured rate and is told at launch, never stored."""

    parameters: int
    tokens: int
    flops: float
    peak_bytes: int
    checkpoint_bytes: int


class Plan(Record):
    """One training run."""

    lane: str
    kind: Literal["base", "continued"]
    snapshot: Pinned
    tokenizer: Pinned
    parent: Pinned | None
    evaluation_sets: Pinned
    weights: Pinned
    parts: tuple[PlannedPart, ...]
    imported: str | None = Field(None, description="Digest of the checkpoint that is imported: nothing is trained")
    labels: tuple[PlannedLabels, ...] = Field(
        (), exclude_if=lambda value: not value, description="One for each batch of a group that the mixture splits"
    )
    seen: tuple[str, ...] | None = Field(description="Partitions that the parent saw; null for a base")
    held_out: tuple[HeldOutBatch, ...]
    mixture: MixtureConfig
    train: TrainConfig
    optimiser: OptimiserConfig
    schedule: ScheduleConfig
    architecture: ArchitectureConfig
    end_of_text_id: int
    estimate: PlanEstimate

    def encode(self) -> bytes:
        """Canonical JSON; operational settings (how often checkpoints are written) are kept for the run."""
        return (self.model_dump_json(indent=1) + "\n").encode()

    @property
    def identity(self) -> str:
        """Digest of what decides the weights: operational settings and places do not."""
        configs = {
            name: getattr(self, name).identity()
            for name in ("mixture", "train", "optimiser", "schedule", "architecture")
        }
        rest: dict[str, Any] = {
            "lane": self.lane,
            "kind": self.kind,
            "parent": self.parent.content if self.parent else None,
            "tokenizer": self.tokenizer.content,
            "parts": [part.model_dump(exclude={"manifest"}) for part in self.parts],
            "seen": self.seen,
            "imported": self.imported,
            "end_of_text_id": self.end_of_text_id,
        }
        if self.labels:
            rest["labels"] = [labels.model_dump(exclude={"manifest"}) for labels in self.labels]
        return digest_json({**configs, **rest})

    @property
    def examples(self) -> int:
        """Sequences of the whole run."""
        return self.train.total_steps * self.train.batch_sequences

    @property
    def new_tokens(self) -> int:
        """Tokens of partitions that the parent did not see."""
        seen = set(self.seen or ())
        return sum(part.tokens for part in self.parts if part.partition not in seen)

    @property
    def partitions(self) -> tuple[str, ...]:
        """Partitions of this run and of all its ancestors, sorted."""
        return tuple(sorted({part.partition for part in self.parts} | set(self.seen or ())))
