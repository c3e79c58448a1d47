"""The command line, beside the UI: same code paths, same store, same Dagster instance. `commands` does the work."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from assets import commands
from pipelines.core.errors import GristmillError
from resources.home import UI_PORT, find_home


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
    listed = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, function: Callable[[argparse.Namespace], int | None], description: str
    ) -> argparse.ArgumentParser:
        command = listed.add_parser(name, help=description, description=description)
        command.set_defaults(command=function)
        command.add_argument("--project", metavar="FILE", default=argparse.SUPPRESS, help="project file")
        return command

    run = add("run", commands.run, "materialize everything, or a selection, and record it in the UI's instance")
    run.add_argument(
        "--select", metavar="SELECTION", help="only these assets, in Dagster's selection syntax, e.g. clean_documents"
    )
    run.add_argument("--partition", metavar="KEY", help="with --select: one batch or round; default: all of them")
    add("demo", commands.demo, "run the project, let its late batch arrive, run a round, and say where the reports are")
    add("status", commands.status, "what is there, batch by batch and lane by lane")
    add("plan", commands.plan, "what an edit of the project file would recompute, and its cost")
    explain = add("explain", commands.explain, "a document's way through every stage, with every rule's value")
    explain.add_argument("document", metavar="ID|URL", help="document id (32 hex digits, or its beginning) or URL")
    form = explain.add_mutually_exclusive_group()
    form.add_argument("--html", action="store_true", help="write it as a page for a browser, and say where")
    form.add_argument("--json", action="store_true", help="as JSON, one document a line")
    asked = add(
        "what-if", commands.what_if, "what other rules would keep: documents, tokens, and samples that change sides"
    )
    forms = "RULE=VALUE, RULE=disabled|enabled|flag|drop, SIGNAL>=VALUE, presets=A,B; for one source SOURCE:EDIT"
    asked.add_argument("edits", nargs="+", metavar="EDIT", help=forms)
    asked.add_argument("--tokenizer", metavar="NAME", help="whose tokens are counted (default: the project's first)")
    asked.add_argument("--samples", type=int, default=5, metavar="N", help="documents shown of each side (default 5)")
    asked.add_argument("--seed", type=int, default=0, help="another seed shows others (default 0)")
    asked.add_argument("--list", type=Path, metavar="FILE", help="write id, source, side of all that change, as TSV")
    diff = add("diff", commands.diff, "what differs between two versions of the documents: by source, stage and reason")
    for name in ("before", "after"):
        diff.add_argument(
            name, metavar=name[0].upper(), help="asset, asset:key, asset:key@n, corpus_snapshot@n; @-1: the one before"
        )
    diff.add_argument("--samples", type=int, default=3, metavar="N", help="documents shown of each kind (default 3)")
    diff.add_argument("--seed", type=int, default=0, help="another seed shows others (default 0)")
    trace = add(
        "trace", commands.trace, "documents, URLs and archive offsets of a training step, or the steps of a document"
    )
    trace.add_argument("checkpoint", help="e.g. nano/base_checkpoint, or nano/continued_checkpoint:r0001")
    what = trace.add_mutually_exclusive_group(required=True)
    what.add_argument("--step", type=int, metavar="N", help="training step, counted from 1")
    what.add_argument("--document", metavar="ID", help="document id: which steps trained on it")
    generate = add("generate", commands.generate, "continue a prompt with a checkpoint")
    generate.add_argument("checkpoint", help="e.g. nano/released_checkpoint")
    generate.add_argument("prompt", help="the text to go on from")
    generate.add_argument("--tokens", type=int, default=100, help="tokens to generate (default 100)")
    generate.add_argument("--temperature", type=float, default=0.0, help="0 is greedy (default)")
    generate.add_argument("--top-p", type=float, help="draw from the likeliest tokens that make up this probability")
    generate.add_argument("--seed", type=int, default=0, help="another seed draws another text (default 0)")
    export = add("export", commands.export, "write a checkpoint as a Hugging Face folder")
    export.add_argument("checkpoint", help="e.g. nano/released_checkpoint")
    export.add_argument("folder", type=Path, help="a new or empty folder")
    control = add(
        "control",
        commands.control,
        "train a round once more without replay and show the forgetting that replay reduces",
    )
    control.add_argument("lane", help="the lane, e.g. nano")
    control.add_argument("--round", default="r0001", metavar="KEY", help="which of its rounds (default r0001)")
    annotate = add(
        "annotate", commands.annotate, "documents for people to label, their labels back, and how far they agree"
    )
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
    add("verify", commands.verify, "read every digest and row count of the store back")
    gc = add("gc", commands.gc, "find what nothing needs any more; only --delete removes it")
    gc.add_argument("--delete", action="store_true", help="remove it, for good")
    gc.add_argument("--grace-hours", type=float, default=24.0, help="spare what is younger (default 24)")
    gc.add_argument(
        "--history", type=int, default=None, metavar="N", help="keep the newest N versions of each key (default: all)"
    )
    add("schema", commands.schema, "print the project file's JSON schema, for editors")
    ui = add("ui", commands.ui, "start Dagster's UI on 127.0.0.1")
    ui.add_argument("--port", type=int, default=UI_PORT, help=f"default {UI_PORT}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
