"""What the project file says about the reports of the corpus."""

from pydantic import Field

from pipelines.core.config import Config


class CorpusReportConfig(Config):
    """Samples, distributions and drift in the report of each batch."""

    samples: int = Field(3, ge=0, le=50, description="Documents shown of those kept, and of those each rule dropped.")
    excerpt_characters: int = Field(700, ge=40, le=20_000, description="Characters shown of a sampled document.")
    seed: int = Field(0, description="Which documents the samples draw; another seed draws others.")
    drift_signals: tuple[str, ...] = Field(
        (),
        description="Signals whose distribution is compared with the previous batch of the source; none means the "
        "language, the length, and every signal that the source's rules look at.",
    )
    drift_index: float = Field(
        0.25,
        gt=0,
        description="Population stability index from which a signal has drifted; by custom 0.1 is a small and 0.25 a "
        "large shift.",
    )
    drift_documents: int = Field(
        30, ge=2, description="With fewer documents in either batch nothing is said about drift."
    )
