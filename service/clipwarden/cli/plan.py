"""clipwarden plan: a model in, the ways of running its encoder on this machine's CPUs out, and a file of settings."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from clipwarden.errors import ConfigError
from clipwarden.modelfolder.runtime import CPU_PROVIDER
from clipwarden.terminal import notice, print_facts, printable, stdout

if TYPE_CHECKING:
    from rich.table import Table

    from clipwarden.engine.encoderplan import EncoderPlan
    from clipwarden.engine.planning import Findings, Interval, Measured
    from clipwarden.engine.saturation import Load
    from clipwarden.modelfolder.load import Model

SECONDS = 60.0
"""A third of a second for each slice of the first look on two cores, in which ViT-B/32 encodes ten images or more."""
_DISTURBED = (
    "Other programs took {percent} % of the CPUs meanwhile. Beside busy neighbours more threads look better than they "
    "are, so the default stays, whatever the figures say; measure again while nothing else runs."
)
SETTINGS = ("encoder_threads", "encoder_runs", "max_batch", "decode_threads")
"""What of a plan is a setting."""


def plan(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Model folder, or mini for the embedded model.", show_default=False)
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Settings to write, for `serve --config`.", show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    image: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What is decoded. Default: a drawn JPEG of 1600x1200.", show_default=False),
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="SECONDS", help="About how long to measure.")] = SECONDS,
    provider: Annotated[
        str, typer.Option(metavar="PROVIDER", help="As of `serve`; only CPUs are planned.")
    ] = CPU_PROVIDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure how a model's encoder is best run on this machine, and write that down as settings.

    Tries threads of a run, runs at the same time, views of a run and decodes at the same time, within the CPUs that
    the process may use (affinity and cgroup quota), at saturation and with decoders at work. Only ways that leave
    every bit of an embedding alone are tried. A server starts without it, on one thread a run, as many runs as CPUs
    (from two on, one more), and one view a run; that stays unless another way is better beyond noise, and by 5 %.

    Run it where the server will run, under the same quota, and while nothing else does.

    **Examples**

    - `clipwarden plan ./clip-b32`

    - `clipwarden plan ./clip-b32 --image photo.heic --seconds 300 -o plan.yaml`

    - `clipwarden serve --config settings.yaml --config plan.yaml`
    """
    _require_sense(seconds, provider, output, force=force)
    from clipwarden.cli.loading import load_named_model, progress_bar
    from clipwarden.engine.encoderplan import plan_for
    from clipwarden.engine.planning import measure, ways_to_run
    from clipwarden.engine.settings import EngineSettings
    from clipwarden.machine import available_cpus

    loaded = load_named_model(model)
    load = _load(model, loaded, image)
    ways = ways_to_run(plan_for(EngineSettings(), loaded), cpus=available_cpus(), max_batch=load.max_batch)
    with progress_bar("Measuring") as advance:
        findings = measure(load, ways, seconds=seconds, advance=advance)
    facts = _facts(loaded, image)
    if output is not None:
        from clipwarden.textfiles.atomic import write_atomically, write_new

        text = settings_text(findings, facts, command=f"clipwarden plan {model}").encode()
        (write_atomically if force else write_new)(output, text)
    if findings.disturbed:
        notice(_disturbance(findings))
    if as_json:
        print(json.dumps(_record(findings, facts)))  # noqa: T201  results go to stdout
    else:
        _show(findings, facts, output)


def _require_sense(seconds: float, provider: str, output: Path | None, *, force: bool) -> None:
    """Find mistakes before anything takes long.

    Raises:
        ConfigError: There is one.
    """
    from clipwarden.engine.encoderplan import DEVICE_BATCH
    from clipwarden.engine.planning import MOST_SECONDS

    if not 0 < seconds <= MOST_SECONDS:  # false for NaN
        raise ConfigError("--seconds must be above 0, and at most a day.")
    if provider != CPU_PROVIDER:
        raise ConfigError(
            f"Only runs on CPUs are planned. On {provider} a server has one run at a time, of up to {DEVICE_BATCH} "
            "views where the model allows so many; try others with --max-batch and --encoder-runs of `serve`."
        )
    if output is not None and not output.absolute().parent.is_dir():
        raise ConfigError(f"There is no folder {output.absolute().parent} to write the plan into.")
    if output is not None and output.is_dir():
        raise ConfigError(f"{output} is a folder; name a file with -o.")
    if output is not None and not force and (output.exists() or output.is_symlink()):
        raise ConfigError(f"{output} is there; it is not overwritten. Add --force, or name another file with -o.")


def _load(name: str, model: "Model", image: Path | None) -> "Load":
    """Open an encoder for each number of threads, and make sure that the image can be decoded."""
    from clipwarden.engine.planning import thread_counts
    from clipwarden.engine.saturation import Load, built_in_photo
    from clipwarden.errors import ImageError
    from clipwarden.machine import available_cpus
    from clipwarden.modelfolder.batch_dependence import varied_pixels
    from clipwarden.modelfolder.load import open_image_encoder, resolve_model
    from clipwarden.vision.decode import decode_image

    data = image.read_bytes() if image else built_in_photo()
    decode = partial(decode_image, data, preprocessing=model.manifest.image)
    try:
        decode()
    except ImageError as error:
        raise ConfigError(f"{image} cannot be decoded: {error}") from error
    folder = resolve_model(name)
    wider = {
        threads: open_image_encoder(folder, model.manifest, threads=threads).encode
        for threads in thread_counts(available_cpus())[1:]
    }
    return Load(
        encoders={model.runtime.encoder_threads: model.image.encode, **wider},
        decode=lambda: decode().pixels,
        varied=varied_pixels(model.manifest.image.side),
        max_batch=model.manifest.max_batch or 2**16,
    )


def _facts(model: "Model", image: Path | None) -> dict[str, str]:
    from clipwarden import __version__
    from clipwarden.engine.saturation import PHOTO_SIZE
    from clipwarden.machine import affinity_cpus, cgroup_quota, processor_name

    quota = cgroup_quota()
    limit = "no quota" if quota is None else f"a quota of {quota:g}"
    return {
        "model": f"{model.manifest.name} {model.fingerprint}",
        "machine": f"{processor_name()}, {affinity_cpus()} CPUs, {limit}",
        "image": str(image) if image else "a drawn JPEG of {}x{}".format(*PHOTO_SIZE),
        "clipwarden": f"{__version__}, onnxruntime {model.runtime.onnxruntime}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def settings_text(findings: "Findings", facts: dict[str, str], *, command: str) -> str:
    """Write the chosen way as a settings file that says where its numbers come from.

    Args:
        findings: What was measured.
        facts: Of the model and the machine, by name.
        command: What was called.

    Returns:
        YAML; whatever a model or a file is called, it stays within its comment.
    """
    chosen, default = findings.chosen, findings.default
    speed = (
        f"at saturation: {chosen.images_per_second:.1f} images/s, with the encoder alone "
        f"{chosen.views_per_second_alone:.1f} views/s; a lone image takes {chosen.lone_image_seconds * 1000:.1f} ms"
    )
    lines = [
        f"Written by `{command}`; measured for this machine, quota and model. Measure again when one of them changes.",
        *(f"{name}: {value}" for name, value in facts.items()),
        speed,
        f"against the default ({_in_words(default.plan)}): {_gain(chosen, default)}",
        *([_disturbance(findings)] if findings.disturbed else ()),
    ]
    settings = {name: value for name, value in asdict(chosen.plan).items() if name in SETTINGS}
    return "".join([*(f"# {printable(line)}\n" for line in lines), *(f"{k}: {v}\n" for k, v in settings.items())])


def _disturbance(findings: "Findings") -> str:
    return _DISTURBED.format(percent=round(100 * findings.taken))


def _show(findings: "Findings", facts: dict[str, str], output: Path | None) -> None:
    print_facts({name.capitalize(): value for name, value in facts.items()})
    stdout().print()
    stdout().print(_table(findings))
    chosen = findings.chosen
    if chosen is findings.default:
        why = "" if findings.disturbed else ": nothing else was better beyond noise, and by 5 %"
        said = f"The default stays ({_in_words(chosen.plan)}){why}."
    else:
        said = f"Best: {_in_words(chosen.plan)}, {_gain(chosen, findings.default)} of the default."
    stdout().print(f"\n{said}", soft_wrap=True)
    if output is not None:
        notice(
            f"{printable(str(output))} is written: `clipwarden serve --config {printable(str(output))}`", style="green"
        )


def _table(findings: "Findings") -> "Table":
    from clipwarden.cli.table import new_table

    headers = ("Threads", "Runs", "Batch", "Decodes", "Images/s", "Of default", "Views/s alone", "Lone image", "")
    table = new_table(*headers)
    for way in findings.ways:
        numbers = [str(value) for name, value in asdict(way.plan).items() if name in SETTINGS]
        style = "bold" if way is findings.chosen else "" if way.same_bits else "dim"
        table.add_row(*(Text(cell, style=style) for cell in (*numbers, *_figures(way, findings))))
    return table


def _figures(way: "Measured", findings: "Findings") -> tuple[str, ...]:
    if not way.same_bits:
        return "", "", "", "", "other bits: struck"
    remark = "default" if way is findings.default else "chosen" if way is findings.chosen else ""
    ratio = "" if way is findings.default else _ratio(way.against(findings.default))
    alone, lone = f"{way.views_per_second_alone:.1f}", f"{way.lone_image_seconds * 1000:.1f} ms"
    return f"{way.images_per_second:.1f}", ratio, alone, lone, remark


def _record(findings: "Findings", facts: dict[str, str]) -> dict[str, object]:
    return {**facts, "taken_by_others": findings.taken, "ways": [_way_record(way, findings) for way in findings.ways]}


def _way_record(way: "Measured", findings: "Findings") -> dict[str, object]:
    timed = way.same_bits
    gain = way.against(findings.default)
    return {
        **asdict(way.plan),
        "same_bits": timed,
        "default": way is findings.default,
        "chosen": way is findings.chosen,
        "images_per_second": way.images_per_second if timed else None,
        "of_default": asdict(gain) if gain and way is not findings.default else None,
        "views_per_second_alone": way.views_per_second_alone if timed else None,
        "lone_image_seconds": way.lone_image_seconds if timed else None,
        "rounds": len(way.rounds),
    }


def _in_words(plan: "EncoderPlan") -> str:
    threads, runs = _counted(plan.encoder_threads, "thread"), _counted(plan.encoder_runs, "run")
    views, decodes = _counted(plan.max_batch, "view"), _counted(plan.decode_threads, "decode")
    return f"{threads} a run, {runs} of up to {views}, {decodes}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _gain(way: "Measured", default: "Measured") -> str:
    return "the same" if way is default else _ratio(way.against(default))


def _ratio(gain: "Interval | None") -> str:
    return "" if gain is None else f"{gain.median:.2f} ({gain.low:.2f}-{gain.high:.2f})"
