"""The command ``audiosep split``: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiosep.cli.addresses import folder_from
from audiosep.cli.batch import (
    EngineOption,
    JobsOption,
    JournalOption,
    RecursiveOption,
    RetryOption,
    SchedulerOption,
    ShardOption,
    StatusOption,
    TimeoutOption,
)
from audiosep.cli.damage import (
    FixNonfiniteOption,
    MaxDurationOption,
    SalvageOption,
    StreamOption,
    StrictOption,
)
from audiosep.cli.helping import EVERYDAY, EXPERT
from audiosep.cli.report import ReportOption
from audiosep.cli.telling import components_from, kept_from

__all__ = ["split"]


def split(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="IN...", help="Recordings, or folders of them; - is stdin."),
    ],
    out: Annotated[
        str,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            help="Folder of the results; - writes the one stem of --keep to stdout.",
            rich_help_panel=EVERYDAY,
        ),
    ] = "separated",
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Recipe, see 'audiosep presets'.", rich_help_panel=EVERYDAY
        ),
    ] = "auto",
    n_sources: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--sources",
            metavar="SOURCES",
            help="Number of stems, for the presets components (2 by default) and stereo (as many "
            "as there are places).",
            rich_help_panel=EVERYDAY,
        ),
    ] = None,
    start: Annotated[
        float,
        typer.Option(metavar="S", help="Start at this second.", rich_help_panel=EVERYDAY),
    ] = 0.0,
    duration: Annotated[
        float | None,
        typer.Option(metavar="S", help="Take so many seconds.", rich_help_panel=EVERYDAY),
    ] = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format", metavar="wav|flac", help="Format of the stems.", rich_help_panel=EVERYDAY
        ),
    ] = "wav",
    bits: Annotated[
        str | None,
        typer.Option(
            metavar="16|24|float",
            help="Bit depth of the stems; by default the recording's.",
            rich_help_panel=EVERYDAY,
        ),
    ] = None,
    exists: Annotated[
        str,
        typer.Option(
            metavar="skip|repair|overwrite|rename|fail",
            help="What to do where stems already are: skip what was done with the same settings "
            "(other settings get a folder of their own, mix-2), repair (skip, but make again what "
            "is damaged, edited or incomplete), overwrite, rename (always a new folder), or fail.",
            rich_help_panel=EVERYDAY,
        ),
    ] = "skip",
    one_shots: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Also write the N cleanest single strokes of each drum, with the preset drums.",
            rich_help_panel=EVERYDAY,
        ),
    ] = 0,
    examples: Annotated[
        list[str] | None,
        typer.Option(
            "--example",
            metavar="NAME=FILE|@FROM-TO",
            help="What a source sounds like: a recording of it alone, a dictionary made by "
            "'audiosep learn', or a part of the recording itself in seconds (noise=@0-3). Again "
            "for each source.",
            rich_help_panel=EVERYDAY,
        ),
    ] = None,
    score: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What each instrument plays: MIDI, MusicXML or Audacity labels; one stem a track.",
            rich_help_panel=EVERYDAY,
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Write only these stems, and the sum of all others as one called rest.",
            rich_help_panel=EVERYDAY,
        ),
    ] = None,
    rest: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the stem of what no example and no track explains.",
            rich_help_panel=EVERYDAY,
        ),
    ] = None,
    quality: Annotated[
        str,
        typer.Option(
            metavar="high|fast",
            help="Whether to take the time for what makes separation by example better.",
            rich_help_panel=EVERYDAY,
        ),
    ] = "high",
    report: ReportOption = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be done, write nothing.", rich_help_panel=EVERYDAY
        ),
    ] = False,
    n_components: Annotated[
        str | None,
        typer.Option(
            "--components",
            metavar="K|auto",
            help="NMF components in all, with examples of each; by default the preset's. With the "
            "preset components, auto takes as many as stand out.",
            rich_help_panel=EXPERT,
        ),
    ] = None,
    n_free: Annotated[
        int | None,
        typer.Option(
            "--free",
            metavar="K",
            help="Components for what no example explains; by default as the preset thinks best.",
            rich_help_panel=EXPERT,
        ),
    ] = None,
    beta: Annotated[
        str | None,
        typer.Option(
            metavar="kl|is|euclidean|FLOAT",
            help="Divergence; by default the preset's.",
            rich_help_panel=EXPERT,
        ),
    ] = None,
    max_iter: Annotated[
        int | None,
        typer.Option(
            "--iterations",
            metavar="N",
            help="NMF iterations; by default the preset's.",
            rich_help_panel=EXPERT,
        ),
    ] = None,
    mask_exponent: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Hardness of the masks: 1 shares by magnitude, 2 by power.",
            rich_help_panel=EXPERT,
        ),
    ] = None,
    dictionary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Templates (.safetensors) instead of those that the preset brings.",
            rich_help_panel=EXPERT,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(metavar="N", help="Same seed, same bytes.", rich_help_panel=EXPERT),
    ] = 0,
    n_threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            metavar="N",
            help="Threads; by default all processors. Results do not depend on it.",
            rich_help_panel=EXPERT,
        ),
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="What one recording may take, such as 600M or 2G; where that is little, it is "
            "taken apart in shorter chunks. Long recordings take no more than short ones.",
            rich_help_panel=EXPERT,
        ),
    ] = None,
    strict: StrictOption = False,
    salvage: SalvageOption = False,
    fix_nonfinite: FixNonfiniteOption = None,
    stream: StreamOption = None,
    max_duration: MaxDurationOption = None,
    recursive: RecursiveOption = False,
    jobs: JobsOption = 1,
    engine: EngineOption = None,
    scheduler: SchedulerOption = None,
    timeout: TimeoutOption = None,
    retry_failed: RetryOption = False,
    status: StatusOption = False,
    shard: ShardOption = None,
    journal: JournalOption = None,
    json_lines: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one JSON object a line per recording.", rich_help_panel=EXPERT
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "-q", "--quiet", help="Say only results and errors.", rich_help_panel=EVERYDAY
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "-v",
            "--verbose",
            help="Say what was decided and how long it took.",
            rich_help_panel=EVERYDAY,
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=EXPERT)
    ] = False,
) -> None:
    """Take recordings apart: separated/<track>/<stem>.wav, and audiosep.json beside them.

    The stems of a recording have its rate, channels, length and level, and add up to it.
    """
    from audiosep.cli.batches import BatchOptions
    from audiosep.cli.pipes import PIPE, split_typed
    from audiosep.cli.split import SplitOptions
    from audiosep.cli.talk import Talk

    talk = Talk(quiet=quiet, verbose=verbose, debug=debug, json_lines=json_lines)
    options = SplitOptions(
        out=folder_from(out),
        preset=preset,
        n_sources=n_sources,
        n_components=components_from(n_components),
        beta=beta,
        max_iter=max_iter,
        mask_exponent=mask_exponent,
        seed=seed,
        n_threads=n_threads,
        format=format_,
        bits=bits,
        exists=exists,
        dictionary=dictionary,
        examples=tuple(examples or ()),
        score=score,
        rest=rest,
        n_free=n_free,
        quality=quality,
        one_shots=one_shots,
        start=start,
        duration=duration,
        max_memory=max_memory,
        strict=strict,
        salvage=salvage,
        fix_nonfinite=fix_nonfinite,
        stream=stream,
        max_duration=max_duration,
        report=report,
        keep=kept_from(keep),
        dry_run=dry_run,
    )
    batch = BatchOptions(
        recursive=recursive,
        jobs=jobs,
        engine=engine,
        scheduler=scheduler,
        timeout=timeout,
        retry_failed=retry_failed,
        status=status,
        shard=shard,
        journal=journal,
    )
    raise typer.Exit(split_typed(inputs, options, talk, batch, to_stdout=out == PIPE))
