"""Running the graph from the command line, over the same jobs as the UI and into the same Dagster instance.

Order: dead runs are reaped; arrivals are sealed; requests are read; what judges documents is trained; each batch goes
through the corpus in ordinal order; tokenizers; token arrays; the snapshot; for each lane its base, its proposal and
its bound rounds. A batch that arrives after something (`after:`) is taken in the next turn. A failed batch stops
neither the others nor the report.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import groupby

import dagster as dg
from dagster._core.definitions.asset_selection import DagsterInvalidAssetSelectionError
from dagster._core.errors import DagsterInvalidSubsetError

from assets.automation.arrivals import FOLDER_NAMES, seal_arrivals, unusable_folders
from assets.automation.attempts import MAX_ATTEMPTS, STOPPING, failure_of, failures_of, reason_of
from assets.automation.partitions import batches, rounds
from assets.automation.reaping import PROCESS_TAG, process_tag, reap_dead_runs
from assets.automation.settling import bound_rounds, give_up, unsettled_batches
from assets.graph import Graph, build_graph
from assets.planning import stale_steps
from assets.progress import Progress
from assets.recipe import IN_ORDER, Recipe, Scope
from assets.standing import recorded, stands
from pipelines.core.errors import RefusedRequestError, UnknownNameError
from resources.mill import Mill, current_home, open_mill

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class StoppedError(RuntimeError):
    """Nothing more can be done in this run; what is finished is kept."""


@dataclass
class Runner:
    """One project, one Dagster instance."""

    mill: Mill
    graph: Graph
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    progress: Progress = field(default_factory=Progress)
    failures: list[str] = field(default_factory=list)

    @classmethod
    def of_instance(cls, instance: dg.DagsterInstance, progress: Progress | None = None) -> "Runner":
        """A runner of the current home's project."""
        from assets.definitions import definitions

        mill = open_mill(current_home())
        runner = cls(mill, build_graph(mill.project), definitions, instance, progress or Progress())
        mill.runner.tell = runner.progress
        return runner

    def run(self) -> bool:
        """Everything, until nothing new arrives. True when every step succeeded."""
        for run_id in reap_dead_runs(self.instance):
            self.progress.line(f"reaped run {run_id}: its process is gone")
        for folder in unusable_folders(self.mill):
            self.progress.line(f"not read: the inbox folder {folder}. {FOLDER_NAMES}")
        self._seal()
        try:
            while True:
                self._turn()
                if not self._seal():
                    return not self.failures
        except StoppedError:
            return False

    def _seal(self) -> list[str]:
        arrivals = seal_arrivals(self.mill)
        for key, reason in arrivals.refused.items():
            failure = f"{key} is not sealed: {reason}"
            if failure not in self.failures:
                self.progress.line(f"  {failure}")
                self.failures.append(failure)
        return arrivals.sealed

    def _turn(self) -> None:
        self.job("prepare_requests")
        keys = self._sealed_keys()
        self._train_models(keys)
        self._batches("ingest_batch", keys)
        if self.mill.project.tokenizers:
            self.job("train_tokenizers")
            self._batches("tokenize_batch", [key for key in keys if self.mill.store.latest("clean_documents", key)])
        if keys and not unsettled_batches(self.mill):
            self.job("take_snapshot")
        if self.mill.store.latest("corpus_snapshot") is None:
            return
        for lane in self.mill.project.lanes:
            if self.job(f"train_{lane}_base"):
                self.job(f"propose_{lane}_round")
                while self.launch_rounds(lane):
                    self.job(f"propose_{lane}_round")

    def _train_models(self, keys: list[str]) -> None:
        """What judges documents, on the batches that it names, before the first document is judged."""
        if not self.graph.models:
            return
        for key in self.mill.project.corpus.models.batches():
            if key in keys and self.mill.store.latest("crawled_text", key) is None:
                self.job("ingest_batch", key, only=("source_files", "crawled_text"))
        self.job("train_models")

    def launch_rounds(self, lane: str) -> bool:
        """Run the rounds that proposals bound and name the released checkpoint anew; True when all there were ran."""
        definition = rounds(self.mill.project, lane)
        waiting = bound_rounds(self.mill, lane)
        for key in waiting:
            self.instance.add_dynamic_partitions(definition.name or "", [key])
            if not self.job(f"train_{lane}_round", key):
                return False
            self.job(f"release_{lane}")
        return bool(waiting)

    def _sealed_keys(self) -> list[str]:
        keys = list(self.mill.sealed())
        name = batches(self.mill.project).name or ""
        known = set(self.instance.get_dynamic_partitions(name))
        fresh = [key for key in keys if key not in known]
        if fresh:
            self.instance.add_dynamic_partitions(name, fresh)
        return keys

    def _batches(self, job: str, keys: Sequence[str]) -> None:
        """A job for each key whose artifacts do not all stand already."""
        selected = self.definitions.resolve_job_def(job).asset_layer.selected_asset_keys
        recipes = [recipe for recipe in self.graph.recipes.values() if recipe.key in selected]
        versions = recorded(self.instance, self.mill, recipes)
        done = 0
        for key in keys:
            if all(stands(self.mill, recipe, key, versions) for recipe in recipes):
                done += 1
            else:
                self._batch(job, key)
        if done:
            self.progress.line(f"{job}: {done} of {len(keys)} batches were done")

    def _batch(self, job: str, key: str) -> None:
        """Tried again at once, so that a batch that cannot be made is given up and the chain goes on without it."""
        own = failures_of(self.instance, key).own
        while not self.job(job, key):
            failures = failures_of(self.instance, key)
            if failures.own >= MAX_ATTEMPTS:
                give_up(self.mill, key, reason_of(self.instance, key))
                self.progress.line(f"  {key} was given up; the others go on. Once it is repaired, run again")
                return
            if failures.own == own:  # it waits for something that is not made here
                return
            own = failures.own
            self.progress.line(f"  {key}: attempt {own + 1} of {MAX_ATTEMPTS}")

    def job(self, name: str, key: str | None = None, only: Iterable[str] | None = None) -> bool:
        """One job in this process, recorded in the instance. Failures are told and remembered."""
        started = time.monotonic()
        definition = self.definitions.resolve_job_def(name)
        selection = None if only is None else [self.graph.recipes[asset].key for asset in only]
        return self._execute(definition, name, key, selection, started)

    def select(self, selection: str, key: str | None) -> bool:
        """Materialize a Dagster selection: for one key, or for every key that it has, in order.

        Raises `UnknownNameError` for a selection or a key that names nothing.
        """
        recipes = self._selected(selection)
        definition = self.definitions.resolve_implicit_global_asset_job_def()
        self._seal()
        self._sealed_keys()
        if key is not None:
            self._refuse_unknown(key, {recipe.scope for recipe in recipes})
        for (scope, lane), group in groupby(recipes, key=_wave):
            assets = [recipe.key for recipe in group]
            for partition in self._keys_of(scope, lane, key):
                try:
                    self._execute(definition, selection, partition, assets, time.monotonic())
                except StoppedError:
                    return False
        return not self.failures

    def _selected(self, selection: str) -> list[Recipe]:
        try:
            wanted = dg.AssetSelection.from_string(selection).resolve(list(self.graph.assets))
        except (DagsterInvalidAssetSelectionError, DagsterInvalidSubsetError):
            wanted = set()
        recipes = [recipe for recipe in self.graph.recipes.values() if recipe.key in wanted]
        if not recipes:
            known = list(self.graph.recipes)
            near = get_close_matches(selection.strip("+*\"' "), known, n=1)
            raise UnknownNameError(
                f"{selection!r} selects no asset{f'; did you mean {near[0]!r}?' if near else ''}\n"
                'An asset is named as in --select clean_documents, --select "*nano/base_report" with all upstream, '
                f'or --select \'key:"clean_documents" or key:"corpus_snapshot"\'. Assets: {", ".join(known)}'
            )
        return recipes

    def _refuse_unknown(self, key: str, scopes: set[Scope]) -> None:
        """A partition key is hostile input: only one that the store's ledgers hold goes on."""
        known: list[str] = []
        if Scope.BATCHES in scopes:
            known += self.mill.sealed()
        if Scope.ROUNDS in scopes:
            known += [
                entry["round"] for lane in self.mill.project.lanes for entry in self.mill.store.ledger(f"rounds/{lane}")
            ]
        if key in known:
            return
        if not known:
            raise RefusedRequestError(f"--partition {key[:80]!r}: what is selected has no partitions; leave it out")
        near = get_close_matches(key, known, n=1)
        raise UnknownNameError(
            f"--partition {key[:80]!r} is none of the {len(known)} sealed batches and rounds"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + f" There are {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}"
        )

    def _keys_of(self, scope: Scope, lane: str, key: str | None) -> list[str | None]:
        if scope is Scope.ONCE:
            return [None]
        if key is not None:
            return [key]
        if scope is Scope.BATCHES:
            return list(self.mill.sealed())
        return [entry["round"] for entry in self.mill.store.ledger(f"rounds/{lane}")]

    def _execute(
        self,
        definition: dg.JobDefinition,
        name: str,
        key: str | None,
        selection: list[dg.AssetKey] | None,
        started: float,
    ) -> bool:
        run_id = str(uuid.uuid4())
        tags = {PROCESS_TAG: process_tag(run_id), "gristmill/launched_by": "command line", **IN_ORDER}
        result = definition.execute_in_process(
            run_id=run_id,
            instance=self.instance,
            partition_key=key,
            asset_selection=selection,
            tags=tags,
            raise_on_error=False,
            run_config=QUIET,
        )
        seconds = time.monotonic() - started
        computed = sum(_computed(event) for event in result.all_events)
        steps = sum(event.is_step_success for event in result.all_events)
        state = "done" if result.success else "FAILED"
        self.progress.line(f"{name} {key or ''}: {state}, {computed} of {steps} steps computed, {seconds:.1f} s")
        for event in result.all_events:
            if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                check = event.asset_check_evaluation_data
                if not check.passed and check.severity is dg.AssetCheckSeverity.WARN:
                    asset = check.asset_key.to_user_string()
                    self.progress.line(f"  warning: {asset} {key or ''}: {check.check_name}: {check.description}")
        stop = ""
        for event in result.all_events:
            if event.is_step_failure:
                message, kinds = failure_of(event)
                self.progress.line(f"  {event.step_key}: {message}")
                where = f"{(event.step_key or name).replace('__', '/')} {key or ''}".strip()
                failure = message if message.startswith(where) else f"{where}: {message}"
                if failure not in self.failures:
                    self.failures.append(failure)
                if STOPPING & kinds:
                    stop = message
        if stop:
            raise StoppedError(stop)
        return result.success

    def apply_project(self, tell: Callable[[str], object]) -> list[str]:
        """Materialize every step that the project file as loaded makes stale, in order; returns what was run."""
        ran: list[str] = []
        for _ in range(len(self.graph.recipes)):
            steps = [step for step in stale_steps(self.mill, self.graph) if step.certain]
            if not steps:
                break
            step = steps[0]
            tell(f"{step.asset} {step.key or ''}: {step.reason}")
            definition = self.definitions.resolve_implicit_global_asset_job_def()
            key = self.graph.recipes[step.asset].key
            if not self._execute(definition, f"apply {step.asset}", step.key, [key], time.monotonic()):
                break
            ran.append(f"{step.asset} {step.key or ''}".strip())
        return ran


def _wave(recipe: Recipe) -> tuple[Scope, str]:
    """What is run together, key by key: neighbours in the order of the graph with the same keys."""
    return recipe.scope, recipe.asset.partition("/")[0] if recipe.scope is Scope.ROUNDS else ""


def _computed(event: dg.DagsterEvent) -> int:
    if not event.is_step_materialization:
        return 0
    value = event.step_materialization_data.materialization.metadata.get("computed")
    return (value.value or 0) if isinstance(value, dg.IntMetadataValue) else 0


@contextmanager
def instance_of_home() -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of the current home; the environment names it for every child process."""
    current_home().prepare()
    with dg.DagsterInstance.get() as instance:
        yield instance
