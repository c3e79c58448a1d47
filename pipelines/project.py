"""The project file: the one value a user writes. It declares sources, corpus rules, tokenizers and lanes.

Each component owns its settings (`<chapter>/config.py`); this module only composes them and adds what joins them:
batches, lanes, rounds and gates. Every field has a sentence; `gristmill schema` prints them for an editor.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from pipelines.core.config import Config, operational
from pipelines.core.documents import KEY_LENGTH, split_key
from pipelines.corpus.acquisition.cards import SourceCard
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.crawl.config import CrawlConfig
from pipelines.corpus.acquisition.dataset_layout import DatasetConfig
from pipelines.corpus.acquisition.licences import UNKNOWN, licence_names, parse_licence, permitted
from pipelines.corpus.cleaning.config import CleaningConfig, SplitConfig
from pipelines.corpus.decontamination.config import ContaminationConfig
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.filters.config import FilterConfig, SignalConfig
from pipelines.corpus.filters.sections import ModelsConfig
from pipelines.corpus.metadata.config import MetadataConfig
from pipelines.corpus.normalization.config import DEFAULT_OPERATIONS, AnyOperation, Operations
from pipelines.corpus.privacy.config import SensitiveSpansConfig
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.reports.config import CorpusReportConfig
from pipelines.model.config import OptimiserConfig, ScheduleConfig, ShapeConfig, TrainConfig
from pipelines.tokens.mixture.config import MixtureConfig
from pipelines.tokens.tokenizer.config import TokenizerConfig

SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]
BatchName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=40)]
LaneName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
CRON_FIELDS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}
"""Fields of a cron expression in their order, with the smallest and largest number of each."""
Location = tuple[str | int, ...]
Dangling = tuple[Location, str, str, list[str]]
"""(location, message, the name that refers to nothing, the names that exist)."""


class BatchConfig(Config):
    """What one batch of a source is, where it differs from the source."""

    path: str | None = operational(None, "Files of this batch, where they are not those of the source.")
    include: tuple[str, ...] = Field(
        (), description="Glob patterns of the files of this batch; none means the source's."
    )
    records: str | None = Field(
        None,
        pattern=r"^\d*:\d*$",
        description="Records `start:stop` of a file, counted from 0, for sources that arrive in pieces of one file.",
    )
    crawl: dict[str, Any] | None = Field(
        None, description="Crawl settings of this batch that differ from the source's."
    )
    commoncrawl: dict[str, Any] | None = Field(
        None, description="Common Crawl settings of this batch that differ from the source's, e.g. its `crawls`."
    )
    after: str | None = operational(
        None, "An asset that must exist before this batch is sealed, e.g. `nano/base_checkpoint`: it arrives later."
    )


class SourceConfig(SourceCard):
    """One origin of documents, with its domain, its language and its card."""

    domain: LaneName = Field(description="Name of the domain: reports, held-out sets and mixtures are kept by domain.")
    language: str | None = Field(None, description="Declared language (ISO 639-1); documents are still identified.")
    crawl: CrawlConfig | None = Field(None, description="Crawl settings, for a source that is crawled by us.")
    commoncrawl: CommonCrawlConfig | None = Field(
        None, description="A selection of Common Crawl, for a source whose records are fetched from its archives."
    )
    path: str | None = operational(
        None,
        "File or folder: absolute, relative to the project file, `package:NAME/inner/path`, `stdlib:`, or a URL that "
        "fsspec reaches (`s3://`, `gs://`, `https://`, `hf://datasets/org/name@revision/...`).",
    )
    storage: dict[str, str | int | bool] = operational(
        {},
        "Settings of fsspec's driver for a URL, such as `endpoint_url` or `anon`; credentials stay in the environment.",
    )
    dataset: DatasetConfig | None = Field(
        None, description="For a folder in the layout of the Hugging Face Hub: which configuration and split to take."
    )
    inbox: str | None = operational(
        None, "Folder whose subfolders are batches; one is sealed when it holds a file named `_SEALED`."
    )
    include: tuple[str, ...] = Field(("**/*",), description="Glob patterns of the files to take from a folder.")
    exclude: tuple[str, ...] = Field((), description="Glob patterns of the files to leave out.")
    reader: ReaderConfig = Field(description="Format of the files and limits on records.")
    max_unreadable: float = operational(
        0.05, "Share of unreadable records above which the batch fails its check and is not published.", ge=0, le=1
    )
    normalization: Operations | None = Field(
        None, description="Operations on its texts, in order, in the place of the corpus's: names, or sections."
    )
    metadata: MetadataConfig | None = Field(
        None, description="Numbers of its documents' `meta` as signals: gaps filled or dropped, outliers marked."
    )
    filter: FilterConfig = Field(default_factory=FilterConfig, description="Rules that keep or drop its documents.")
    batches: dict[BatchName, BatchConfig] = Field(
        default_factory=dict,
        description="Batches of this source by name; without any and without an inbox: one, `first`.",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "SourceConfig":
        kinds = [name for name in ("crawl", "commoncrawl", "path", "inbox") if getattr(self, name) is not None]
        named = all(batch.path for batch in self.batches.values()) and self.batches
        if len(kinds) != 1 and not (not kinds and named):
            raise ValueError(
                "a source has exactly one of crawl, commoncrawl, path and inbox; this one has "
                f"{', '.join(kinds) or 'none'}"
            )
        if (self.crawl or self.commoncrawl) and self.reader.format != "warc":
            raise ValueError(f"what is crawled or selected is WARC: reader.format is warc, not {self.reader.format}")
        return self

    def declared_batches(self) -> dict[str, BatchConfig]:
        """The batches that the file names; an inbox adds its own as they arrive."""
        if self.batches or self.inbox is not None:
            return dict(self.batches)
        return {"first": BatchConfig()}


class CorpusConfig(Config):
    """The rules of the corpus, one section a stage."""

    sources: dict[SourceName, SourceConfig] = Field(min_length=1, description="Sources by name.")
    extraction: ExtractionConfig = Field(default_factory=ExtractionConfig, description="Text from bytes.")
    normalization: Operations = Field(
        DEFAULT_OPERATIONS,
        description="Operations on every text, in order: names, or sections with `operation` and its settings.",
    )
    signals: SignalConfig = Field(default_factory=SignalConfig, description="Attribute families that are computed.")
    models: ModelsConfig = Field(
        default_factory=ModelsConfig, description="Classifiers, topics and language models, trained on named texts."
    )
    dedup: DedupConfig = Field(default_factory=DedupConfig, description="What counts as a duplicate.")
    privacy: SensitiveSpansConfig = Field(
        default_factory=SensitiveSpansConfig, description="Personal data that is looked for."
    )
    contamination: ContaminationConfig = Field(
        default_factory=ContaminationConfig, description="How benchmark text is recognised."
    )
    cleaning: CleaningConfig = Field(default_factory=CleaningConfig, description="Edits and drops of the clean corpus.")
    splits: SplitConfig = Field(
        default_factory=SplitConfig, description="Held-out documents, and what is too similar to them to be trained on."
    )
    removals: str | None = operational(None, "JSONL file of removal requests, relative to the project file.")


class TokenizerSection(Config):
    """One tokenizer, immutable under its name: another one is another name."""

    batches: tuple[str, ...] = Field(
        (), description="Batches that it is trained on; none means all that are sealed when it is made."
    )
    model: TokenizerConfig = Field(description="Trained by us, or imported.")


class StageConfig(Config):
    """One training stage: what is mixed, for how long, on which schedule."""

    mixture: MixtureConfig = Field(default_factory=MixtureConfig, description="How sources are weighted and ordered.")
    train: TrainConfig = Field(description="Batch, length, precision, checkpoints.")
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig, description="AdamW's settings.")
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig, description="Learning rate over the steps.")

    @model_validator(mode="after")
    def _one_length(self) -> "StageConfig":
        declared = self.mixture.model_fields_set
        if "sequence_length" in declared and self.mixture.sequence_length != self.train.sequence_length:
            raise ValueError(
                f"mixture.sequence_length {self.mixture.sequence_length} is not train.sequence_length "
                f"{self.train.sequence_length}: leave the first one out"
            )
        return self


class GateConfig(Config):
    """What a round's checkpoint must show before it is released."""

    max_forgetting: float = Field(
        0.05,
        ge=0,
        description="Largest rise of bits per byte on any domain that the parent knew, lower end of the interval.",
    )
    require_learning: bool = Field(
        False, description="Whether bits per byte on a domain of the new batches must fall beyond the noise."
    )


class RoundConfig(StageConfig):
    """Continued pretraining on what is new, with replay of what the parent saw."""

    min_new_tokens: int = Field(1, ge=1, description="Fewer new tokens than this hold the proposal.")
    gates: GateConfig = Field(default_factory=GateConfig, description="Conditions of a release.")
    max_hours: float = Field(24.0, gt=0, description="A round that is estimated to take longer is held.")
    max_memory_gb: float = Field(4.0, gt=0, description="A round that is estimated to need more memory is held.")
    schedule_at: str = operational(
        "0 2 * * *",
        "When the schedule of this lane, once switched on, proposes a round: minute, hour, day, month, weekday (UTC).",
    )

    @field_validator("schedule_at")
    @classmethod
    def _cron(cls, value: str) -> str:
        words = value.split()
        if len(words) != len(CRON_FIELDS):
            raise ValueError(f"has five fields ({', '.join(CRON_FIELDS)}), this one {len(words)}: 0 2 * * * is nightly")
        for (name, (low, high)), word in zip(CRON_FIELDS.items(), words, strict=True):
            for item in word.split(","):
                found = re.fullmatch(r"(\*|\d{1,2}(?:-\d{1,2})?)(?:/([1-9]\d?))?", item)
                numbers = [int(number) for number in found[1].split("-")] if found and found[1] != "*" else []
                if not found or numbers != sorted(numbers) or any(not low <= number <= high for number in numbers):
                    raise ValueError(f"{item!r} is no {name}: *, a number or a range within {low}-{high}, and /step")
        return " ".join(words)


class LaneConfig(Config):
    """One model line: an architecture, a tokenizer, a base and its rounds."""

    tokenizer: LaneName = Field(description="Name of the tokenizer, a section of `tokenizers`.")
    include: tuple[SourceName, ...] = Field((), description="Sources that this lane trains on; none means all.")
    exclude: tuple[SourceName, ...] = Field((), description="Sources that this lane never trains on.")
    licences: tuple[str, ...] = operational(
        (),
        "Licences that this lane may train on, as SPDX identifiers; a source outside of them holds its plans. None "
        "permits all but `unknown`, which is permitted by its name only.",
    )
    imported: str | None = operational(
        None, "Folder of a Hugging Face checkpoint that is the base, in the place of `shape` and `base`."
    )
    shape: ShapeConfig = Field(default_factory=ShapeConfig, description="The model; its vocabulary is the tokenizer's.")
    base: StageConfig | None = Field(None, description="Pretraining from nothing; a lane has it unless it is imported.")
    rounds: RoundConfig = Field(description="Continued pretraining.")
    tokens_per_second: float | None = operational(
        None, "Measured training speed, for estimates; without it a short measurement is made."
    )

    @field_validator("licences")
    @classmethod
    def _licences(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        found = [parse_licence(item) for item in value]
        for item in found:
            if item.operator:
                raise ValueError(f"{item}: name one licence an entry: {', '.join(licence_names(item))}")
        return tuple(str(item) for item in found)

    @model_validator(mode="after")
    def _one_base(self) -> "LaneConfig":
        if self.imported is None and self.base is None:
            raise ValueError("a lane has `base`, its pretraining, or `imported`, the folder of a checkpoint")
        if self.imported is not None and {"base", "shape"} & self.model_fields_set:
            raise ValueError("an imported checkpoint brings its weights and its shape: leave out `base` and `shape`")
        return self

    @property
    def first_stage(self) -> StageConfig:
        """The stage that this lane trains first: its base, or the rounds of an imported one."""
        return self.rounds if self.base is None else self.base


class Project(Config):
    """The whole project file."""

    project: LaneName = Field(description="Name of the project: the prefix of its partitions and references.")
    description: str = operational("", "A sentence for people.")
    owners: tuple[str, ...] = operational(("team:data",), "Owners of every asset: e-mail addresses or `team:NAME`.")
    corpus: CorpusConfig = Field(description="Sources and the rules of the corpus.")
    evaluation: EvaluationConfig = Field(
        default_factory=EvaluationConfig, description="Benchmarks, intervals, held-out scoring."
    )
    reports: CorpusReportConfig = Field(
        default_factory=CorpusReportConfig, description="Samples and drift in the reports of batches."
    )
    tokenizers: dict[LaneName, TokenizerSection] = Field(default_factory=dict, description="Tokenizers by name.")
    lanes: dict[LaneName, LaneConfig] = Field(default_factory=dict, description="Model lines by name.")

    @model_validator(mode="after")
    def _names(self) -> "Project":
        named = [*self.tokenizers, *self.lanes, *self.corpus.models.names()]
        shared = sorted({name for name in named if named.count(name) > 1})
        if shared:
            raise ValueError(f"{shared} name two of tokenizers, lanes and models; asset keys would collide")
        for source, settings in self.corpus.sources.items():
            for batch in settings.declared_batches():
                if len(f"{source}.{batch}") > KEY_LENGTH:
                    raise ValueError(f"the key {source}.{batch} is longer than {KEY_LENGTH} characters")
        return self

    def source_of(self, key: str) -> SourceConfig:
        """The source of a batch key."""
        return self.corpus.sources[split_key(key)[0]]

    def operations_of(self, key: str) -> tuple[AnyOperation, ...]:
        """The normalization of a batch's texts: its source's, or the corpus's."""
        own = self.source_of(key).normalization
        return self.corpus.normalization if own is None else own

    def batch_of(self, key: str) -> BatchConfig | None:
        """What the file says of a batch; None for one that an inbox brought."""
        source, batch = split_key(key)
        return self.corpus.sources[source].declared_batches().get(batch)

    def lane_sources(self, lane: str) -> list[str]:
        """Names of the sources that a lane trains on, in the file's order."""
        settings = self.lanes[lane]
        chosen = settings.include or tuple(self.corpus.sources)
        return [name for name in self.corpus.sources if name in chosen and name not in settings.exclude]

    def unlicensed_sources(self, lane: str, sources: Iterable[str]) -> dict[str, str]:
        """Of `sources`, those that the lane may not train on, with their licence; one that is gone has `unknown`."""
        allowed = self.lanes[lane].licences
        cards = self.corpus.sources
        declared = {name: cards[name].licence if name in cards else UNKNOWN for name in dict.fromkeys(sources)}
        return {name: text for name, text in declared.items() if not permitted(parse_licence(text), allowed)}

    def domains(self) -> list[str]:
        return sorted({source.domain for source in self.corpus.sources.values()})

    def dangling_names(self) -> Iterator[Dangling]:
        """Names in the file that refer to nothing, or to what does not fit."""
        sources, tokenizers = list(self.corpus.sources), list(self.tokenizers)
        for lane, settings in self.lanes.items():
            if settings.tokenizer not in tokenizers:
                yield (
                    ("lanes", lane, "tokenizer"),
                    f"there is no tokenizer {settings.tokenizer!r}",
                    settings.tokenizer,
                    tokenizers,
                )
            for field in ("include", "exclude"):
                for index, name in enumerate(getattr(settings, field)):
                    if name not in sources:
                        yield ("lanes", lane, field, index), f"there is no source {name!r}", name, sources
        known_assets = [f"{lane}/{name}" for lane in self.lanes for name in ("base_checkpoint", "base_report")]
        for source, settings_of in self.corpus.sources.items():
            for batch, declared in settings_of.batches.items():
                yield from self._crawl_overrides(source, batch)
                if declared.after is not None and declared.after not in known_assets:
                    location = ("corpus", "sources", source, "batches", batch, "after")
                    yield location, f"there is no asset {declared.after!r}", declared.after, known_assets
        yield from self._dangling_batches()

    def _crawl_overrides(self, source: str, batch: str) -> Iterator[Dangling]:
        """What a batch says of its crawl or selection is checked as the source's own settings are."""
        settings = self.corpus.sources[source]
        kinds: dict[str, tuple[type[Config], str]] = {
            "crawl": (CrawlConfig, "is not crawled"),
            "commoncrawl": (CommonCrawlConfig, "does not select from Common Crawl"),
        }
        for section, (kind, lack) in kinds.items():
            base, changes = getattr(settings, section), getattr(settings.batches[batch], section)
            location = ("corpus", "sources", source, "batches", batch, section)
            if changes is not None and base is None:
                yield location, f"the source {source!r} {lack}", section, []
            elif changes is not None:
                try:
                    kind.model_validate({**base.model_dump(), **changes})
                except ValidationError as error:
                    for item in error.errors(include_url=False):
                        place = (*location, *item["loc"])
                        yield place, item["msg"], str(place[-1]), list(kind.model_fields)

    def _dangling_batches(self) -> Iterator[Dangling]:
        declared = [
            f"{name}.{batch}" for name, item in self.corpus.sources.items() for batch in item.declared_batches()
        ]
        inboxes = {name for name, item in self.corpus.sources.items() if item.inbox is not None}
        for tokenizer, settings in self.tokenizers.items():
            for index, key in enumerate(settings.batches):
                if key not in declared and key.partition(".")[0] not in inboxes:
                    yield ("tokenizers", tokenizer, "batches", index), f"there is no batch {key!r}", key, declared
        for asset, name in self.corpus.models.assets().items():
            for key in self.corpus.models.batches_of(name):
                if key not in declared and key.partition(".")[0] not in inboxes:
                    yield ("corpus", "models"), f"{asset}: there is no batch {key!r}", key, declared
