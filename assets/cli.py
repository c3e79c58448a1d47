"""The command line, beside the UI: same code paths, same store, same Dagster instance."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pipelines.core.errors import GristmillError, RefusedRequestError
from resources.home import ROOT, UI_PORT, find_home
from resources.lifeline import start_guard
from resources.mill import Mill, open_mill


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.project is not None:
        os.environ["GRISTMILL_PROJECT"] = str(Path(options.project).resolve())
    try:
        # Before anything with compiled kernels or a tokenizer is imported: both read the environment when they are.
        os.environ.update(find_home(os.environ).environment())
        return int(options.command(options) or 0)
    except GristmillError as error:
        print(f"gristmill: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gristmill", description="From crawled pages to an evaluated checkpoint.")
    parser.add_argument("--project", metavar="FILE", help="project file; default: GRISTMILL_PROJECT, else the demo's")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, function: Callable[[argparse.Namespace], int | None], description: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=description, description=description)
        command.set_defaults(command=function)
        command.add_argument("--project", metavar="FILE", default=argparse.SUPPRESS, help="project file")
        return command

    run = add("run", _run, "materialize everything, or a selection, and record it in the UI's instance")
    run.add_argument(
        "--select", metavar="SELECTION", help="only these assets, in Dagster's selection syntax, e.g. clean_documents"
    )
    run.add_argument("--partition", metavar="KEY", help="with --select: one batch or round; default: all of them")
    add("demo", _demo, "run the project, let its late batch arrive, run a round, and say where the reports are")
    add("status", _status, "what is there, batch by batch and lane by lane")
    add("plan", _plan, "what an edit of the project file would recompute, and its cost")
    explain = add("explain", _explain, "a document's way through every stage, with every rule's value")
    explain.add_argument("document", metavar="ID|URL", help="document id (32 hex digits) or URL")
    trace = add("trace", _trace, "documents, URLs and archive offsets of a training step, or the steps of a document")
    trace.add_argument("checkpoint", help="e.g. nano/base_checkpoint, or nano/continued_checkpoint:r0001")
    what = trace.add_mutually_exclusive_group(required=True)
    what.add_argument("--step", type=int, metavar="N", help="training step, counted from 1")
    what.add_argument("--document", metavar="ID", help="document id: which steps trained on it")
    generate = add("generate", _generate, "continue a prompt with a checkpoint")
    generate.add_argument("checkpoint", help="e.g. nano/released_checkpoint")
    generate.add_argument("prompt", help="the text to go on from")
    generate.add_argument("--tokens", type=int, default=100, help="tokens to generate (default 100)")
    generate.add_argument("--temperature", type=float, default=0.0, help="0 is greedy (default)")
    generate.add_argument("--top-p", type=float, help="draw from the likeliest tokens that make up this probability")
    generate.add_argument("--seed", type=int, default=0, help="another seed draws another text (default 0)")
    export = add("export", _export, "write a checkpoint as a Hugging Face folder")
    export.add_argument("checkpoint", help="e.g. nano/released_checkpoint")
    export.add_argument("folder", type=Path, help="a new or empty folder")
    control = add(
        "control", _control, "train a round once more without replay and show the forgetting that replay reduces"
    )
    control.add_argument("lane", help="the lane, e.g. nano")
    control.add_argument("--round", default="r0001", metavar="KEY", help="which of its rounds (default r0001)")
    annotate = add("annotate", _annotate, "documents for people to label, their labels back, and how far they agree")
    task = annotate.add_subparsers(required=True, metavar="TASK")
    draw = task.add_parser("sample", help="write a file of documents to label")
    draw.add_argument("file", type=Path, help="a new file, .jsonl or .csv")
    draw.add_argument("--count", type=int, default=50, help="how many documents (default 50)")
    draw.add_argument("--seed", type=int, default=0, help="another seed draws other documents")
    draw.add_argument(
        "--partition", metavar="KEY", action="append", default=[], help="only this batch; may be repeated"
    )
    how = draw.add_mutually_exclusive_group()
    how.add_argument("--failed", metavar="RULE", help="documents that fail a rule")
    how.add_argument("--passed", metavar="RULE", help="documents that do not fail a rule")
    how.add_argument("--band", nargs=3, metavar=("SIGNAL", "LOW", "HIGH"), help="documents with a signal in a band")
    how.add_argument("--disagree", nargs=2, metavar="SIGNAL", help="documents with the widest gap between two signals")
    draw.set_defaults(task="sample")
    bring = task.add_parser("import", help="check a file of labels and put it with the others of its section")
    bring.add_argument("name", help="section of corpus.models.annotations")
    bring.add_argument("file", type=Path, help="the filled-in file")
    bring.set_defaults(task="import")
    agree = task.add_parser("agreement", help="how far the people of a section agree")
    agree.add_argument("name", help="section of corpus.models.annotations")
    agree.set_defaults(task="agreement")
    add("verify", _verify, "read every digest and row count of the store back")
    gc = add("gc", _gc, "find what nothing needs any more; only --delete removes it")
    gc.add_argument("--delete", action="store_true", help="remove it, for good")
    gc.add_argument("--grace-hours", type=float, default=24.0, help="spare what is younger (default 24)")
    gc.add_argument(
        "--history", type=int, default=None, metavar="N", help="keep the newest N versions of each key (default: all)"
    )
    add("schema", _schema, "print the project file's JSON schema, for editors")
    ui = add("ui", _ui, "start Dagster's UI on 127.0.0.1")
    ui.add_argument("--port", type=int, default=UI_PORT, help=f"default {UI_PORT}")
    return parser


def _mill() -> Mill:
    return open_mill(find_home(os.environ))


def _run(options: argparse.Namespace) -> int:
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


def _demo(options: argparse.Namespace) -> int:
    from assets.demo import run_demo

    return run_demo()


def _status(options: argparse.Namespace) -> int:
    from assets.status import status_lines

    print("\n".join(status_lines(_mill())))
    return 0


def _plan(options: argparse.Namespace) -> int:
    from assets.graph import build_graph
    from assets.planning import describe, stale_steps

    mill = _mill()
    print("\n".join(describe(mill, stale_steps(mill, build_graph(mill.project)))))
    return 0


def _explain(options: argparse.Namespace) -> int:
    from assets.inspection import explain

    print("\n".join(explain(_mill(), options.document)))
    return 0


def _trace(options: argparse.Namespace) -> int:
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


def _generate(options: argparse.Namespace) -> int:
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


def _export(options: argparse.Namespace) -> int:
    from assets.generation import export_checkpoint

    print(export_checkpoint(_mill(), options.checkpoint, options.folder))
    return 0


def _control(options: argparse.Namespace) -> int:
    from assets.control import run_control
    from assets.progress import Progress

    mill = _mill()
    mill.runner.tell = Progress()
    print("\n".join(run_control(mill, options.lane, options.round)))
    return 0


def _annotate(options: argparse.Namespace) -> int:
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


def _verify(options: argparse.Namespace) -> int:
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


def _gc(options: argparse.Namespace) -> int:
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


def _schema(options: argparse.Namespace) -> int:
    from pipelines.project import Project

    print(json.dumps(Project.model_json_schema(), indent=1, sort_keys=True))
    return 0


def _ui(options: argparse.Namespace) -> int:
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


if __name__ == "__main__":
    sys.exit(main())
