"""clipwarden models upgrade: a model folder in, its upgraded copy and the policies that must be refitted out."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipwarden.terminal import notice, print_facts, printable, stdout

if TYPE_CHECKING:
    from clipwarden.cli.policyfile import PolicyFile
    from clipwarden.modelfolder.load import Runtime
    from clipwarden.modelfolder.upgrade import Upgrade


def upgrade(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A model folder, or mini; it stays as it is.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="NEW", help="Folder to create.")],
    *,
    policy: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="A policy or bundle: say what of it must be refitted. Repeatable."),
    ] = None,
    full_decode: Annotated[
        bool,
        typer.Option("--full-decode", help="Decode JPEGs in full: slower, and nothing hides from a smaller scale."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a model folder anew, so that the model sees the colours that a browser shows.

    NEW is FOLDER with `colour: srgb` in its model.json: a profile (ICC), PNG's gAMA, cHRM and cICP, and whatever else
    turns stored colours into displayed ones is applied before the model looks. Folders that were made before it could
    be say nothing there, and the model sees stored colours, which whoever uploads may choose at will. Every other file
    stays byte for byte. FOLDER is never changed, and NEW must not exist: it appears once it loads and has answered its
    golden images and texts.

    **The fingerprint changes**, so policies and bundles of the old one are refused with NEW. --policy says of each what
    falls: calibrations (`fitted_on`) and thresholds (`chosen_on`). Pictures without such information get the very
    vectors that they got before, so that numbers chosen on those alone are worth what they were: then
    `clipwarden lint FILE --fix --model NEW --approved-by NAME` takes them over on trust. Where pictures carried
    profiles, embed them with NEW and run `clipwarden tune FILE --refit`.

    --full-decode writes `decode_scale: 0` as well. Otherwise large JPEGs are decoded at a smaller scale, which takes
    half of the time or less, and which a JPEG that was computed for it can show another picture than at its full size.
    It moves the vectors of JPEGs a little: numbers that were chosen on other pictures are worth what they were.

    **Examples**

    - `clipwarden models upgrade ./clip-b32 -o ./clip-b32-srgb`

    - `clipwarden models upgrade ./clip-b32 -o ./clip-b32-srgb --policy shop.yaml --policy chat.bundle`

    **Exit codes**: 0 written, or up to date already, when nothing is written · 1 it cannot be written · 2 NEW exists or
    lies in FOLDER · 3 a policy cannot be read · 4 FOLDER is damaged or no model folder, or its golden vectors drifted.
    """
    from clipwarden.cli.policyfile import read_policy
    from clipwarden.machine import prepare_process
    from clipwarden.modelfolder.load import resolve_model
    from clipwarden.modelfolder.upgrade import plan_upgrade, require_new

    prepare_process()
    plan = plan_upgrade(resolve_model(folder), full_decode=full_decode)
    # Mistakes are found before gigabytes are read.
    read = [read_policy(name) for name in policy or ()]
    if plan.needed:
        require_new(plan.folder, output)
    runtime = _write(plan, output) if plan.needed else None
    refits = [_refit(each, plan) for each in read]
    if as_json:
        print(json.dumps(_facts(plan, output, runtime, refits)))  # noqa: T201  results go to stdout
        return
    if runtime is None:
        notice(f"{printable(str(plan.folder))} is up to date: {plan.after}. Nothing was written.", style="green")
    else:
        _show(plan, output, runtime)
    _show_refits(refits, str(output if runtime else plan.folder), plan.before if runtime and not read else None)


def _write(plan: "Upgrade", output: Path) -> "Runtime":
    from clipwarden.cli.loading import progress_bar
    from clipwarden.modelfolder.upgrade import STEPS, write_upgrade

    with progress_bar("Checking, copying, loading") as advance:
        advance(0, STEPS)
        return write_upgrade(plan, output, done=lambda steps: advance(steps, STEPS))


def _refit(read: "PolicyFile", plan: "Upgrade") -> Mapping[str, object]:
    """Say what of a policy falls, be it now or since the folder was upgraded."""
    from clipwarden.modelfolder.upgrade import fingerprint_before
    from clipwarden.policy.rebinding import fallen

    before = plan.before if plan.needed else fingerprint_before(plan.new, read.fingerprint) or plan.before
    bound = read.fingerprint == before
    falls = fallen(read.policy, before, plan.after)
    return {
        **read.facts,
        "bound": bound,
        "holds": read.fingerprint in (None, plan.after) and not (falls.thresholds or falls.calibrations),
        "refit": bound or bool(falls.thresholds or falls.calibrations),
        **asdict(falls),
    }


def _facts(
    plan: "Upgrade", output: Path, runtime: "Runtime | None", refits: Sequence[Mapping[str, object]]
) -> Mapping[str, object]:
    return {
        "folder": str(plan.folder),
        "written": None if runtime is None else str(output),
        "before": plan.before,
        "after": plan.after,
        "verified": None if runtime is None else asdict(runtime),
        "policies": refits,
    }


def _show(plan: "Upgrade", output: Path, runtime: "Runtime") -> None:
    from clipwarden.cli.models import COLOURS

    print_facts(
        {
            "Folder": str(output),
            "Colours": COLOURS[plan.new.image.colour],
            **({} if plan.new.image.decode_scale else {"JPEGs": "decoded in full"}),
            "Golden": f"drift {runtime.golden_drift:.2g}, tolerance {plan.new.golden.tolerance:g}, on "
            f"{runtime.provider}, onnxruntime {runtime.onnxruntime}: all well",
            "Fingerprint": plan.after,
            "Before": plan.before,
        }
    )


def _show_refits(refits: Sequence[Mapping[str, object]], model: str, unasked: str | None) -> None:
    """Say what became of policies; `unasked` is the old fingerprint where none was named."""
    for refit in refits:
        stdout().print(printable(f"{refit['file']}: {_said(refit)}"), soft_wrap=True)
    if any(refit["refit"] for refit in refits):
        notice(_WAYS.format(model=printable(shlex.quote(model))))
    if unasked:
        notice(
            "Policies and bundles of the old fingerprint are refused with the new folder. Name them with --policy to "
            f"hear what of them falls; `grep -rl {unasked.removeprefix('sha256:')} FOLDER` finds them."
        )


_WAYS = (
    "Pictures without a profile or transfer function get the very vectors that they got before, JPEGs only where no "
    "more than colours changed. Where numbers were chosen on pictures whose vectors stay, `clipwarden lint FILE --fix "
    "--model {model} --approved-by NAME` takes them over on trust (NAME is who else stands for what is enforced), and "
    "bundles are compiled again; otherwise embed pictures with it and run `clipwarden tune FILE --refit`."
)


def _said(refit: Mapping[str, object]) -> str:
    parts = [_named(name, refit[name]) for name in ("calibrations", "thresholds") if refit[name]]
    if refit["holds"]:
        return "nothing to do: it holds for the new model."
    if not refit["refit"]:
        return "is bound to neither model, and the new one refuses it."
    if refit["kind"] == "bundle":
        parts.insert(0, "must be compiled again, from a policy that holds for the new model.")
    elif parts:
        parts.insert(0, "must be refitted.")
    else:
        parts.insert(0, "is bound to the old model: write the new fingerprint into it. None of its numbers falls.")
    return " ".join(parts)


def _named(what: str, ids: object) -> str:
    return f"Fallen {what}: {', '.join(map(str, ids))}." if isinstance(ids, tuple) else ""
