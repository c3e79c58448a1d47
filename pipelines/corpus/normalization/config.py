"""Configuration of normalization: one small model an operation, and what a list of them must obey.

Two kinds share the list. *Text operations* repair and tidy what a model will read: `mojibake`, `line_ends`, `controls`,
`nfc`, `white_space`, `repeated_punctuation`, `dehyphenation`, `chinese_script`. *Key operations* throw away what a
model should learn (case, inflection, punctuation, function words): `word_segmentation`, `stop_words`, `case_folding`,
`punctuation`, `special_characters`, `abbreviations`, `spelling`, `stemming`, `lemmatization`. Those belong to keys and
to classical tasks (search, topic models, bag-of-words classifiers), not to pretraining text: a source that lists
one should feed no lane.

In the project file an operation is its name, or a section with `operation` and settings:

    normalization: [line_ends, controls, nfc, {operation: white_space, max_blank_lines: 1}]
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictStr, model_validator

from pipelines.core.config import Config

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
EXTRAS: Final = {
    "jieba": "chinese",
    "opencc": "chinese",
    "snowballstemmer": "classical",
    "simplemma": "classical",
    "stopwordsiso": "classical",
}
"""Package that an operation imports -> the optional dependency of ours that brings it."""


def require(package: str, wanted_by: str) -> None:
    """Raises ValueError when a package is not installed, naming what wants it and what to install."""
    if find_spec(package) is None:
        extra = EXTRAS[package]
        raise ValueError(
            f"the {wanted_by} needs the package {package}, which is not installed: "
            f"run `pip install -e '.[{extra}]'`, or `pip install {package}`"
        )


class LineEnds(Config):
    """CR LF, CR, VT, FF, NEL, U+2028 and U+2029 become a line feed."""

    operation: Literal["line_ends"] = Field("line_ends", description="Which operation this is.")


class Controls(Config):
    """Control characters but line feed and tab go, with U+FEFF."""

    operation: Literal["controls"] = Field("controls", description="Which operation this is.")


class Nfc(Config):
    """Unicode NFC; never NFKC, which changes what is said (① to 1, full-width punctuation to ASCII)."""

    operation: Literal["nfc"] = Field("nfc", description="Which operation this is.")


class Mojibake(Config):
    """UTF-8 that was read in another encoding is read again, line by line, where the line is surely wrong (ftfy)."""

    operation: Literal["mojibake"] = Field("mojibake", description="Which operation this is.")


class WhiteSpace(Config):
    """Blanks at line ends go, runs of blank lines are cut, blank lines around the text go; indentation stays."""

    operation: Literal["white_space"] = Field("white_space", description="Which operation this is.")
    max_blank_lines: int = Field(2, ge=0, description="Blank lines in a row that stay.")
    inner_runs: bool = Field(
        False, description="Cut runs of blanks after the first word of a line to one; harms tables and aligned code."
    )
    plain_spaces: bool = Field(
        False, description="Turn no-break, thin and other exotic spaces (U+3000 excepted) into plain ones."
    )


class RepeatedPunctuation(Config):
    """Runs of one punctuation mark are cut, e.g. `!!!!!!!!` to `!!!`."""

    operation: Literal["repeated_punctuation"] = Field("repeated_punctuation", description="Which operation this is.")
    characters: str = Field(
        "!?！？。，、；",
        min_length=1,
        description="Marks whose runs are cut; rules, leaders, fences, ellipses (- = . * # _ ~ …) are best left out.",
    )
    max_run: int = Field(3, ge=1, description="Marks of a run that stay.")


class Dehyphenation(Config):
    """Words that a line end cut in two are put together, by the evidence of the document's own words."""

    operation: Literal["dehyphenation"] = Field("dehyphenation", description="Which operation this is.")
    unseen: Literal["join", "keep"] = Field(
        "join", description="What to do with a cut word that the document never writes in one piece."
    )
    min_line_characters: int = Field(
        30, ge=1, description="A shorter line is not taken for wrapped prose, and its hyphen is left alone."
    )


class ChineseScript(Config):
    """Traditional and simplified Chinese into one another by OpenCC; other languages are left alone."""

    operation: Literal["chinese_script"] = Field("chinese_script", description="Which operation this is.")
    conversion: Literal[
        "t2s", "s2t", "tw2s", "s2tw", "tw2sp", "s2twp", "hk2s", "s2hk", "tw2t", "t2tw", "hk2t", "t2hk"
    ] = Field(
        "t2s", description="OpenCC's conversion: t2s is traditional to simplified, the ones in p replace phrases too."
    )

    @model_validator(mode="after")
    def _installed(self) -> "ChineseScript":
        require("opencc", f"operation {self.operation}")
        return self


class WordSegmentation(Config):
    """Words and marks with a blank between them. For keys and classical tasks, not for pretraining text."""

    operation: Literal["word_segmentation"] = Field("word_segmentation", description="Which operation this is.")
    chinese: Literal["jieba", "characters"] = Field(
        "jieba", description="Words of Chinese by jieba's dictionary and model, or each character a word."
    )

    @model_validator(mode="after")
    def _installed(self) -> "WordSegmentation":
        if self.chinese == "jieba":
            require("jieba", f"operation {self.operation}")
        return self


class StopWords(Config):
    """Function words go. For keys and classical tasks; Chinese has to be segmented before."""

    operation: Literal["stop_words"] = Field("stop_words", description="Which operation this is.")
    words: dict[Language, tuple[StrictStr, ...]] = Field(
        {}, description="Lists by language; none at all means those of stopwords-iso, for 58 languages."
    )

    @model_validator(mode="after")
    def _installed(self) -> "StopWords":
        if not self.words:
            require("stopwordsiso", f"operation {self.operation}")
        return self


class CaseFolding(Config):
    """Lower case. For keys and classical tasks, not for pretraining text."""

    operation: Literal["case_folding"] = Field("case_folding", description="Which operation this is.")
    method: Literal["fold", "lower"] = Field(
        "fold", description="Unicode's folding for comparisons (ß is ss), or lower case."
    )


class Punctuation(Config):
    """Punctuation marks (Unicode category P) go. For keys and classical tasks, not for pretraining text."""

    operation: Literal["punctuation"] = Field("punctuation", description="Which operation this is.")
    keep: str = Field("", description="Marks that stay.")
    replacement: Literal["", " "] = Field(" ", description="What a mark becomes.")


class SpecialCharacters(Config):
    """Symbols, emoji and private characters go. For keys and classical tasks, not for pretraining text."""

    operation: Literal["special_characters"] = Field("special_characters", description="Which operation this is.")
    categories: tuple[Literal["Sm", "Sc", "Sk", "So", "Cf", "Co", "Cn"], ...] = Field(
        ("Sm", "Sc", "Sk", "So", "Co", "Cn"),
        min_length=1,
        description="Unicode categories that go; Cf has the joiners that Persian and emoji need.",
    )
    keep: str = Field("", description="Characters that stay.")


class Abbreviations(Config):
    """Abbreviations are written out by a table. For keys and classical tasks, not for pretraining text."""

    operation: Literal["abbreviations"] = Field("abbreviations", description="Which operation this is.")
    table: dict[str, StrictStr] = Field(
        {
            "approx.": "approximately",
            "cf.": "compare",
            "dept.": "department",
            "e.g.": "for example",
            "et al.": "and others",
            "etc.": "and so on",
            "i.e.": "that is",
            "vs.": "versus",
        },
        min_length=1,
        description="Abbreviation -> what it stands for; case as written, and with a capital at the start.",
    )
    languages: tuple[Language, ...] = Field(
        ("en",), description="Languages of the table; texts of others, and of no known one, are left alone."
    )

    @model_validator(mode="after")
    def _stable(self) -> "Abbreviations":
        _refuse_chains(self.operation, self.table)
        return self


class Spelling(Config):
    """Variants of spelling become one by a table. For keys and classical tasks, not for pretraining text."""

    operation: Literal["spelling"] = Field("spelling", description="Which operation this is.")
    variant: Literal["american", "british"] | None = Field(
        None, description="Apply our short table of English words towards this variant, too."
    )
    table: dict[str, StrictStr] = Field({}, description="Word in lower case -> the spelling to use.")
    languages: tuple[Language, ...] = Field(
        ("en",), description="Languages of the table; texts of others, and of no known one, are left alone."
    )

    @model_validator(mode="after")
    def _stable(self) -> "Spelling":
        if not self.table and self.variant is None:
            raise ValueError("spelling has nothing to do: give `variant` or a `table`")
        wrong = [word for word in self.table if word != word.lower()]
        if wrong:
            raise ValueError(f"spelling.table: write {wrong[0]!r} in lower case; the case of the text is kept")
        _refuse_chains(self.operation, self.table)
        return self


class Stemming(Config):
    """Words to their stems (Snowball), in lower case. For keys and classical tasks, not for pretraining text."""

    operation: Literal["stemming"] = Field("stemming", description="Which operation this is.")
    language: Language | None = Field(None, description="The stemmer for every text; none means each text's language.")

    @model_validator(mode="after")
    def _installed(self) -> "Stemming":
        require("snowballstemmer", f"operation {self.operation}")
        return self


class Lemmatization(Config):
    """Words to their dictionary forms (simplemma). For keys and classical tasks, not for pretraining text."""

    operation: Literal["lemmatization"] = Field("lemmatization", description="Which operation this is.")
    language: Language | None = Field(
        None, description="The dictionary for every text; none means each text's language."
    )

    @model_validator(mode="after")
    def _installed(self) -> "Lemmatization":
        require("simplemma", f"operation {self.operation}")
        return self


AnyOperation = (
    Mojibake
    | LineEnds
    | Controls
    | Nfc
    | WhiteSpace
    | RepeatedPunctuation
    | Dehyphenation
    | ChineseScript
    | WordSegmentation
    | StopWords
    | CaseFolding
    | Punctuation
    | SpecialCharacters
    | Abbreviations
    | Spelling
    | Stemming
    | Lemmatization
)
OperationName = Literal[
    "mojibake", "line_ends", "controls", "nfc", "white_space", "repeated_punctuation", "dehyphenation",
    "chinese_script", "word_segmentation", "stop_words", "case_folding", "punctuation", "special_characters",
    "abbreviations", "spelling", "stemming", "lemmatization",
]  # fmt: skip
BEFORE: Final = (
    ("mojibake", "line_ends", "bytes 80 to 9f of broken text are control characters, and NEL is one"),
    ("mojibake", "controls", "bytes 80 to 9f of broken text are control characters"),
    ("mojibake", "nfc", "what it repairs may need composing"),
    ("controls", "nfc", "a letter and a mark with a control character between them compose without it"),
    ("line_ends", "white_space", "it looks at line feeds only"),
    ("line_ends", "dehyphenation", "it looks at line feeds only"),
)
"""(operation, operation that must not come before it, why)."""


def _named(value: Any) -> Any:
    return {"operation": value} if isinstance(value, str) else value


Operation = Annotated[
    Annotated[AnyOperation, Field(discriminator="operation")],
    BeforeValidator(_named, json_schema_input_type=OperationName | AnyOperation),
]


def _refuse_chains(operation: str, table: dict[str, str]) -> None:
    """An expansion that holds a key would be changed again by a second pass."""
    for key, value in table.items():
        if not key.strip() or not value.strip():
            raise ValueError(f"{operation}.table: {key!r} -> {value!r} has an empty side")
        padded = f" {value.lower()} "
        for other in table:
            if f" {other.lower()} " in padded:
                raise ValueError(f"{operation}.table: {key!r} becomes {value!r}, which holds {other!r}: write it out")


def _ordered(operations: Sequence[AnyOperation]) -> Sequence[AnyOperation]:
    names = [operation.operation for operation in operations]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is listed twice")
    for first, second, why in BEFORE:
        if first in names and second in names and names.index(first) > names.index(second):
            raise ValueError(f"put {first} before {second}: {why}")
    return operations


Operations = Annotated[tuple[Operation, ...], AfterValidator(_ordered)]
DEFAULT_OPERATIONS: Final[tuple[AnyOperation, ...]] = (LineEnds(), Controls(), Nfc())
"""What changes no meaning and every text needs."""
