"""What each command of the command line does: parsed options in, lines on standard output and an exit code out.

Imports stand inside the functions: `gristmill status` need not wait for what `gristmill run` needs.
"""

import argparse
import json
import os
import sys
import time

from pipelines.core.errors import RefusedRequestError
from resources.home import ROOT, find_home
from resources.lifeline import start_guard
from resources.mill import Mill, open_mill


def _mill() -> Mill:
    return open_mill(find_home(os.environ))


def run(options: argparse.Namespace) -> int:
    from assets.running import Runner, instance_of_home

    with instance_of_home() as instance:
        if options.partition is not None and options.select is None:
            raise RefusedRequestError("--partition names one batch or round of what --select names: give both")
        runner = Runner.of_instance(instance)
        good = runner.run() if options.select is None else runner.select(options.select, options.partition)
        runner.mill.close()
        for failure in runner.failures:
            print(f"gristmill: {failure}", file=sys.stderr)
        return 0 if good else 1


def demo(options: argparse.Namespace) -> int:
    from assets.demo import run_demo

    return run_demo()


def status(options: argparse.Namespace) -> int:
    from assets.status import status_lines

    print("\n".join(status_lines(_mill())))
    return 0


def plan(options: argparse.Namespace) -> int:
    from assets.graph import build_graph
    from assets.planning import describe, stale_steps

    mill = _mill()
    print("\n".join(describe(mill, stale_steps(mill, build_graph(mill.project)))))
    return 0


def explain(options: argparse.Namespace) -> int:
    from assets.inspection import explain, stories, write_pages
    from pipelines.evaluation.reports.document import story_json

    if options.html:
        for page in write_pages(_mill(), options.document):
            print(page.as_uri())
    elif options.json:
        for story in stories(_mill(), options.document):
            print(story_json(story))
    else:
        print("\n".join(explain(_mill(), options.document)))
    return 0


def what_if(options: argparse.Namespace) -> int:
    from assets.whatif import listed, what_if
    from assets.whatif_lines import lines_of

    mill = _mill()
    with listed(options.list) as collect:
        answer = what_if(
            mill,
            options.edits,
            tokenizer=options.tokenizer,
            samples=max(0, options.samples),
            seed=options.seed,
            collect=collect,
        )
    print("\n".join(lines_of(mill, answer)))
    return 0


def diff(options: argparse.Namespace) -> int:
    from assets.differences import compare, lines_of

    compared = compare(_mill(), options.before, options.after, samples=max(0, options.samples), seed=options.seed)
    print("\n".join(lines_of(compared)))
    return 0


def trace(options: argparse.Namespace) -> int:
    from assets.tracing import trace_document, trace_step

    mill = _mill()
    lines = (
        trace_step(mill, options.checkpoint, options.step)
        if options.step is not None
        else trace_document(mill, options.checkpoint, options.document)
    )
    for line in lines:
        print(line)
    return 0


def generate(options: argparse.Namespace) -> int:
    from assets.generation import generate_text

    print(
        generate_text(
            _mill(),
            options.checkpoint,
            options.prompt,
            options.tokens,
            options.temperature,
            options.top_p,
            options.seed,
        )
    )
    return 0


def export(options: argparse.Namespace) -> int:
    from assets.generation import export_checkpoint

    print(export_checkpoint(_mill(), options.checkpoint, options.folder))
    return 0


def control(options: argparse.Namespace) -> int:
    from assets.control import run_control
    from assets.progress import Progress

    mill = _mill()
    mill.runner.tell = Progress()
    print("\n".join(run_control(mill, options.lane, options.round)))
    return 0


def annotate(options: argparse.Namespace) -> int:
    from assets.annotating import agreement_lines, import_labels, write_sample
    from pipelines.corpus.filters.annotation.sample import Choice

    mill = _mill()
    if options.task == "import":
        print("\n".join(import_labels(mill, options.name, options.file)))
    elif options.task == "agreement":
        print("\n".join(agreement_lines(mill, options.name)))
    else:
        choice = Choice(rule=options.failed or options.passed, verdict="passed" if options.passed else "failed")
        if options.band:
            try:
                choice = Choice(signal=options.band[0], low=float(options.band[1]), high=float(options.band[2]))
            except ValueError:
                raise RefusedRequestError(
                    f"--band wants a signal and two numbers, not {' '.join(options.band)}"
                ) from None
        if options.disagree:
            choice = Choice(disagreement=(options.disagree[0], options.disagree[1]))
        print(write_sample(mill, choice, options.count, options.seed, options.partition, options.file))
    return 0


def verify(options: argparse.Namespace) -> int:
    from resources.housekeeping import verify

    report = verify(_mill().store)
    rate = report.bytes / 1e6 / max(report.seconds, 1e-9)
    print(
        f"{report.artifacts} artifacts, {report.files} files, {report.rows:,} rows, {report.bytes / 1e6:,.1f} MB read "
        f"in {report.seconds:.1f} s ({rate:,.0f} MB/s): {len(report.errors)} errors"
    )
    for error in report.errors:
        print(f"  {error}")
    return 1 if report.errors else 0


def gc(options: argparse.Namespace) -> int:
    from resources.housekeeping import collect

    found = collect(
        _mill().store,
        history=options.history,
        grace_seconds=options.grace_hours * 3600,
        now=time.time(),
        delete=options.delete,
    )
    for path, size in found.sweep:
        print(f"{'deleted' if options.delete else 'would delete'} {path} ({size:,} bytes)")
    print(
        f"{len(found.sweep)} files, {found.bytes / 1e6:,.1f} MB "
        f"{'deleted' if options.delete else 'could go; run with --delete'}; "
        f"{found.kept_objects} objects, {found.kept_bytes / 1e6:,.1f} MB kept; {found.young} young ones spared"
    )
    return 0


def schema(options: argparse.Namespace) -> int:
    from pipelines.project import Project

    print(json.dumps(Project.model_json_schema(), indent=1, sort_keys=True))
    return 0


def ui(options: argparse.Namespace) -> int:
    from assets.graph import build_graph

    home = find_home(os.environ)
    home.prepare()
    graph = build_graph(open_mill(home).project)  # a mistake in the project file is told here, not in a page of the UI
    url = f"http://127.0.0.1:{options.port}"
    print(f"gristmill: the UI comes up at {url} (home {home.dagster_home})", flush=True)
    print(f"  the lineage with every group open: {url}/{graph.lineage_page()}", flush=True)
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(ROOT / "workspace.yaml")]
    os.chdir(ROOT)
    start_guard()
    os.execve(sys.executable, [*command, "-h", "127.0.0.1", "-p", str(options.port)], os.environ)
