"""Which estimator makes an n-gram language model, and that it is told.

`estimator` in the project file is the declaration. What `auto` comes to on this machine is a fact of the action, beside
the digests of its files: another estimator is another action, the made model carries the name and stands under it
whatever other machines have, and a store never holds a model without the word of who made it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree

from pipelines.core.fingerprint import Algorithm, digest_file
from pipelines.corpus.filters.ngram_lm.build import Estimator
from pipelines.corpus.filters.ngram_lm.config import LanguageModelConfig
from pipelines.corpus.filters.ngram_lm.kenlm import KENLM, KenlmError, Lmplz, train_kenlm
from pipelines.corpus.filters.ngram_lm.train import train_ngrams
from resources.lmplz import LMPLZ, find_lmplz
from resources.mill import Mill
from resources.stages import Action

CHOSEN = "estimator"
"""Name of the fact."""


def estimator_algorithms(section: LanguageModelConfig) -> tuple[Algorithm, ...]:
    """What the model can be made by beside our own estimator."""
    return () if section.estimator == "gristmill" else (KENLM,)


def estimator_facts(mill: Mill, name: str) -> dict[str, str]:
    """The fact that `auto` came to here; nothing where the settings say it, or nothing is estimated."""
    section = mill.project.corpus.models.language_models.get(name)
    if section is None or section.estimator != "auto":
        return {}
    return {CHOSEN: "gristmill" if _program(mill, section) is None else "kenlm"}


@contextmanager
def chosen_estimator(mill: Mill, action: Action, name: str) -> Iterator[tuple[Estimator, dict[str, str]]]:
    """(what estimates, what to say of it) for an action. Raises `KenlmError` where KenLM is declared and not here."""
    section = mill.project.corpus.models.language_models[name]
    if not section.texts:
        yield train_ngrams, {}
        return
    if action.facts.get(CHOSEN, section.estimator) == "gristmill":
        yield train_ngrams, {CHOSEN: "gristmill"}
        return
    program = _program(mill, section)
    if program is None:
        raise KenlmError(
            f"corpus.models.language_models.{name}: `estimator: kenlm` needs KenLM's `lmplz`, and "
            f"{section.lmplz or 'lmplz'} is no program here. Build it (https://kheafield.com/code/kenlm) and put it on "
            f"PATH, name it in {LMPLZ} or in `lmplz`; or leave `estimator` out: ours gives the same model"
        )
    folder = mill.store.scratch()
    folder.mkdir()
    try:
        tool = Lmplz(program, section.lmplz_memory, section.lmplz_seconds, folder)
        yield partial(train_kenlm, tool=tool), {CHOSEN: "kenlm", "lmplz": digest_file(program)}
    finally:
        rmtree(folder, ignore_errors=True)


def _program(mill: Mill, section: LanguageModelConfig) -> Path | None:
    return find_lmplz(section.lmplz, mill.loaded.path.parent)
