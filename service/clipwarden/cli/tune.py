"""clipwarden tune: a policy, a store and labels in; what limits find at what price, and a new version, out."""

from pathlib import Path
from typing import Annotated

import typer

from clipwarden.cli.exits import Exit
from clipwarden.cli.shares import read_share
from clipwarden.errors import ConfigError
from clipwarden.tuning.extra import require_tune

_BLOCK = "Block limit"
_REVIEW = "Review limit"
_WRITING = "Writing"


def tune(
    policy: Annotated[
        str, typer.Argument(metavar="POLICY", help="Policy file, bundle, or name of a shipped one.", show_default=False)
    ],
    *,
    store: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Store of embedded pictures.", show_default=False)
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Label file or folder. Repeatable, of several people.", show_default=False),
    ] = None,
    design: Annotated[
        str | None,
        typer.Option(metavar="DESIGN", help="How they were drawn, where no file says: set, queue.", show_default=False),
    ] = None,
    complete: Annotated[bool, typer.Option("--complete", help="What labels leave out is a no.")] = False,
    only: Annotated[
        str | None,
        typer.Option("--only", "--categories", metavar="A,B,C", help="Answer about these alone.", show_default=False),
    ] = None,
    block_fpr: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE", help="Of harmless pictures, stopped at most.", rich_help_panel=_BLOCK, show_default=False
        ),
    ] = None,
    wrong_stops: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Of uploads, stopped wrongly at most: by labels from the top.",
            rich_help_panel=_BLOCK,
            show_default=False,
        ),
    ] = None,
    block_wrong: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Wrong stops among these labels, at most: no promise.",
            rich_help_panel=_BLOCK,
            show_default=False,
        ),
    ] = None,
    review_recall: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE", help="Of harmful pictures, found at least.", rich_help_panel=_REVIEW, show_default=False
        ),
    ] = None,
    review_fpr: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Of harmless pictures, sent to people or stopped at most.",
            rich_help_panel=_REVIEW,
            show_default=False,
        ),
    ] = None,
    review_capacity: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="Reviews a day, over all categories.", rich_help_panel=_REVIEW, show_default=False
        ),
    ] = None,
    daily_volume: Annotated[
        float | None,
        typer.Option(metavar="N", help="Uploads a day; goes with it.", rich_help_panel=_REVIEW, show_default=False),
    ] = None,
    review_wrong: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Harmless ones of these labels that reach it, at most: no promise.",
            rich_help_panel=_REVIEW,
            show_default=False,
        ),
    ] = None,
    prevalence: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE", help="Of uploads that are like this. Default: what a sample says.", show_default=False
        ),
    ] = None,
    confidence: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Of each promise. Default: 95%.", show_default=False)
    ] = None,
    policy_wide: Annotated[
        bool, typer.Option("--policy-wide", help="The confidence is of all promises and looks together.")
    ] = False,
    refit: Annotated[
        bool, typer.Option("--refit", help="What no longer holds after an edit, again by what was asked before.")
    ] = False,
    slice_ceiling: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Of harmless pictures stopped in each slice, at most.", show_default=False),
    ] = None,
    show: Annotated[int, typer.Option(metavar="N", min=0, help="Misses and false alarms to show, each.")] = 5,
    engineers: Annotated[
        bool, typer.Option("--engineers", help="Show margins, logits and the calibration too.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Model folder. Default: the embedded one.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Write a new version beside the file, NAME-VERSION.yaml.", rich_help_panel=_WRITING
        ),
    ] = False,
    version: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="Default: the next free one.", rich_help_panel=_WRITING, show_default=False
        ),
    ] = None,
    author: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Who writes it. Default: the login name.", rich_help_panel=_WRITING, show_default=False
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Why. Default: what was tuned.", rich_help_panel=_WRITING, show_default=False
        ),
    ] = None,
    approved_by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Who else stands for it. Default: nobody.",
            rich_help_panel=_WRITING,
            show_default=False,
        ),
    ] = None,
) -> Exit:
    """Say by labels what limits find and at what price, and write a version of the policy with new ones.

    For each category it answers, in this order: can these labels decide it; what do I get, at what price; which images
    pay; what would help; how many of 1,000 uploads are like this; what would be written. Near-duplicates count once.

    What is promised depends on how labels were drawn (`clipwarden sample`): a sample of traffic bounds rates of
    traffic, labels from the top bound wrong stops among uploads, hand-picked ones hold on these pictures alone, and
    those of a queue show examples. Without labels, uniform traffic bounds how much is stopped, rightly or not.

    Ask for limits by the options below, or on a terminal answer a few questions. Shares are written as 0.5% or 0.005.
    With --write the difference is shown first, and NAME-VERSION.yaml is written with calibration, limits and what they
    rest on; comments stay, NAME.yaml stays live, and nothing is ever raised to enforce.

    **Examples**

    - `clipwarden tune mine.yaml --store uploads.store --labels kim.jsonl`

    - `clipwarden tune mine.yaml --store uploads.store --labels kim.jsonl --block-fpr 1% --review-recall 80% --write`

    - `clipwarden tune mine.yaml --store uploads.store --labels top.jsonl --wrong-stops 0.5% --write --author kim`

    - `clipwarden tune mine.yaml --store uploads.store --block-fpr 0.5% --review-capacity 200 --daily-volume 50000`

    - `clipwarden tune mine.yaml --store uploads.store --labels kim.jsonl --refit --write`

    **Exit codes**: 0 answered, or written · 10 a limit that was asked for cannot be had, or a slice fails or is not
    known: what is missing is said · 2 wrong usage, or labels that do not allow it · 3 unusable policy · 4 unusable
    model · 8 unusable store · 1 a file that cannot be written.
    """
    require_tune()
    from clipwarden.cli.tunerun import TuneOptions, run
    from clipwarden.policy.newversion import VersionNotes
    from clipwarden.tuning.labels.model import Design
    from clipwarden.tuning.tune.targets import Targets

    if store is None:
        raise ConfigError("Name the store of pictures with --store; `clipwarden embed` writes one.")
    if design is not None and design not in tuple(Design):
        raise ConfigError(f'--design is "{design}"; there is {", ".join(Design)}.')
    notes = VersionNotes(version=version, author=author, reason=reason, approved_by=approved_by)
    if not write and notes != VersionNotes():
        raise ConfigError("--version, --author, --reason and --approved-by are about the version that --write writes.")

    def share(text: str | None, flag: str, *, small: bool = False) -> float | None:
        return None if text is None else read_share(text, flag, small=small)

    targets = Targets(
        block_fpr=share(block_fpr, "--block-fpr", small=True),
        wrong_stops=share(wrong_stops, "--wrong-stops", small=True),
        block_wrong=block_wrong,
        review_recall=share(review_recall, "--review-recall"),
        review_fpr=share(review_fpr, "--review-fpr", small=True),
        review_wrong=review_wrong,
        review_capacity=review_capacity,
        daily_volume=daily_volume,
        prevalence=share(prevalence, "--prevalence", small=True),
        confidence=share(confidence, "--confidence") or 0.95,
        policy_wide=policy_wide,
    )
    options = TuneOptions(
        policy=policy,
        store=store,
        labels=tuple(labels or ()),
        design=None if design is None else Design(design),
        complete=complete,
        model=model,
        only=tuple(name.strip() for name in (only or "").split(",") if name.strip()),
        targets=targets,
        slice_ceiling=share(slice_ceiling, "--slice-ceiling", small=True),
        show=show,
        engineers=engineers,
        as_json=as_json,
        yes=yes,
        write=write,
        notes=notes,
        refit=refit,
    )
    return run(options)
