"""``audiosep batch``: recordings of a manifest, each with its own settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from audiosep.cli.batches import BatchOptions
    from audiosep.cli.manifest import Manifest
    from audiosep.cli.split import SplitOptions
    from audiosep.cli.talk import Talk
    from audiosep.cli.tasks import Task
    from audiosep.errors import ExitCode
    from audiosep.io.naming import Planner
    from audiosep.io.urls import Place

__all__ = [
    "EngineOption",
    "JobsOption",
    "JournalOption",
    "RecursiveOption",
    "RetryOption",
    "SchedulerOption",
    "ShardOption",
    "StatusOption",
    "TimeoutOption",
    "batch_like",
]

MANY = "Many recordings"

RecursiveOption = Annotated[
    bool,
    typer.Option(
        "-r", "--recursive", help="Folders in folders too; mirrors the tree.", rich_help_panel=MANY
    ),
]
JobsOption = Annotated[
    int,
    typer.Option(
        "-j",
        "--jobs",
        metavar="N",
        help="So many recordings at once, as far as memory goes.",
        rich_help_panel=MANY,
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        metavar="local|dask",
        help="Who does the work: processes of this machine, or a Dask cluster (extra cluster).",
        rich_help_panel=MANY,
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|FILE",
        help="Of a Dask cluster, tcp://host:8786; without it --engine dask starts --jobs workers "
        "here.",
        rich_help_panel=MANY,
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        metavar="S", help="Give up a recording that takes longer, twice.", rich_help_panel=MANY
    ),
]
RetryOption = Annotated[
    bool,
    typer.Option(
        "--retry-failed", help="Try again what failed in an earlier run.", rich_help_panel=MANY
    ),
]
StatusOption = Annotated[
    bool,
    typer.Option(
        "--status", help="Say what is done, failed and left; do nothing.", rich_help_panel=MANY
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Only the I-th of N parts, for several machines.",
        rich_help_panel=MANY,
    ),
]
JournalOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="What was done, as JSON lines; by default .audiosep/journal.jsonl in the output "
        "folder.",
        rich_help_panel=MANY,
    ),
]

_NOT_OF_A_MANIFEST = ("inputs", "recursive")


def batch_like(split: Callable[..., None]) -> Callable[..., None]:
    """Return the command ``batch``, with all options of `split` for what rows do not say.

    Parameters
    ----------
    split : callable
        The command ``split``; its parameters are those of its options.
    """

    def batch(manifest: str, *, allow_outside: bool, **given: Any) -> None:
        from audiosep.cli.addresses import folder_from
        from audiosep.cli.batches import BatchOptions
        from audiosep.cli.split import SplitOptions
        from audiosep.cli.talk import Talk
        from audiosep.cli.telling import components_from, kept_from
        from audiosep.errors import UsageError
        from audiosep.io.urls import place_from

        if given["out"] == "-":
            raise UsageError("-o - is for one recording; name a folder.")
        given["out"] = folder_from(given["out"])
        given["n_components"] = components_from(given["n_components"])
        given["examples"] = tuple(given["examples"] or ())
        given["keep"] = kept_from(given["keep"])
        given = {name.rstrip("_"): value for name, value in given.items()}

        def some(kind: type[Any]) -> Any:
            return kind(**{f.name: given[f.name] for f in fields(kind) if f.name in given})

        raise typer.Exit(
            batch_all(
                place_from(manifest),
                some(SplitOptions),
                some(Talk),
                some(BatchOptions),
                allow_outside=allow_outside,
            )
        )

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = inspect.signature(split, eval_str=True)
    parameters = [
        inspect.Parameter("manifest", keyword, annotation=_ManifestArgument),
        *(
            one.replace(kind=keyword)
            for one in own.parameters.values()
            if one.name not in _NOT_OF_A_MANIFEST
        ),
        inspect.Parameter("allow_outside", keyword, default=False, annotation=_OutsideOption),
    ]
    # What typer reads instead of the function's own.
    batch.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    batch.__annotations__ = {one.name: one.annotation for one in parameters}
    batch.__doc__ = """Take apart the recordings that a manifest names, one a row.

    CSV with a first line of names (input, and any option of split without its dashes), or one JSON
    object a line; paths are relative to the manifest. An option given here holds for all rows that
    do not say otherwise.
    """
    return batch


_ManifestArgument = Annotated[str, typer.Argument(metavar="MANIFEST", help="CSV or JSON lines.")]
_OutsideOption = Annotated[
    bool,
    typer.Option(
        "--allow-outside",
        help="Rows may name files outside the folder of the manifest.",
        rich_help_panel=MANY,
    ),
]


def batch_all(
    path: Place, options: SplitOptions, talk: Talk, batch: BatchOptions, *, allow_outside: bool
) -> ExitCode:
    """Separate the recordings of a manifest and return the exit code of the whole.

    Raises
    ------
    InputError
        If the manifest cannot be read, or names nothing.
    UsageError
        If it is no manifest, or an option cannot be.
    """
    from audiosep.cli.batches import Plan, do_batch
    from audiosep.cli.manifest import opened
    from audiosep.cli.one import Worker
    from audiosep.cli.split import no_empty_folders
    from audiosep.errors import InputError
    from audiosep.io.naming import Planner, display

    batch.check()
    Worker(talk=talk).separator_of(options)
    with opened(path, options, allow_outside=allow_outside) as manifest:
        counted = Planner()
        total, parents = 0, set()
        for row in manifest.rows(look=False):
            total += 1
            if not row.problem:
                counted.count(row.source, row.below, row.name)
                parents.add(options.out / row.below)
        if not total:
            raise InputError(f"{display(path)} names no recordings; write one a line.")
        plan = Plan(tasks=lambda: _tasks(manifest, counted.again()), total=total, parents=parents)
        with no_empty_folders(options.out):
            return do_batch(plan, options.out, batch, talk, dry_run=options.dry_run)


def _tasks(manifest: Manifest, planner: Planner) -> Iterator[Task]:
    from audiosep.cli.tasks import Task
    from audiosep.io.naming import display, job_of

    out = manifest.options.out
    for row in manifest.rows():
        if row.problem:
            # Not a folder of its own, so that no other row's name depends on it.
            job = job_of(row.source, out)
            yield Task(job=job, options=row.options, key=f"line {row.line}", problem=row.problem)
            continue
        track = planner.folder(row.source, row.below, row.name)
        yield Task(
            job=job_of(row.source, out / track),
            options=row.options,
            track=str(track),
            key=str(row.below / row.source.name),
            where=f"{display(manifest.path)}, line {row.line}",
        )
