"""Run the recipe: `python -m recipes.mini STEP --work DIR`, each step resumable."""

import json
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from clipwarden.modelfolder.load import load_model
from clipwarden.modelfolder.references import references_path
from recipes.mini import (
    apply,
    card,
    compare,
    decide,
    demo,
    export,
    fetch,
    judged,
    latency,
    prepare,
    references,
    render,
    report,
    train,
)
from recipes.mini.comparison import compare_tables, gate_tables
from recipes.mini.graphs import read_image_tower
from recipes.mini.heldout import HeldOut

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
_REPOSITORY = Path(__file__).resolve().parents[3]
_MODEL = _REPOSITORY / "service" / "clipwarden" / "models" / "mini"
_POLICY = _REPOSITORY / "policies" / "stickers.yaml"
_REFERENCES = references_path()
_DEMO = _REPOSITORY / "service" / "clipwarden" / "demo" / "images"
_FIXTURES = _REPOSITORY / "tests" / "demo" / "identity"

Work = Annotated[Path, typer.Option("--work", help="Folder for data, checkpoints and figures; several GB.")]
ModelFolder = Annotated[Path, typer.Option("--model", help="The model folder.")]
PolicyFile = Annotated[Path, typer.Option("--policy", help="The policy to measure or fit.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="CPU threads.")]


@app.command("fetch")
def fetch_command(work: Work) -> None:
    """Install the icon sets and emoji words from npm, and check their licences."""
    fetch.fetch(work)


@app.command("render")
def render_command(work: Work) -> None:
    """Draw every icon at 96 pixels."""
    render.render(work)


@app.command("prepare")
def prepare_command(work: Work, threads: Threads = 2) -> None:
    """Write captions, embed them, and drop training drawings that look like held-out ones."""
    torch.set_num_threads(threads)
    prepare.prepare(work)


@app.command("train")
def train_command(
    work: Work,
    minutes: Annotated[float, typer.Option(help="Wall-clock length of the whole run.")] = train.Plan().minutes,
    threads: Threads = 1,
    start: Annotated[
        Path | None, typer.Option(help="A model folder whose image tower a second round begins from.")
    ] = None,
) -> None:
    """Train the image tower; an interrupted run goes on from its last checkpoint."""
    torch.set_num_threads(threads)
    first = None if start is None else read_image_tower((start / "image.onnx").read_bytes())
    train.train(work, train.Plan(minutes=minutes), first)


@app.command("export")
def export_command(work: Work, revision: str = "1", model: ModelFolder = _MODEL) -> None:
    """Write the model folder."""
    torch.set_num_threads(1)
    export.export_model(work, model, revision)


@app.command("fit")
def fit_command(
    work: Work,
    model: ModelFolder = _MODEL,
    policy: PolicyFile = _POLICY,
    threads: Threads = 1,
) -> None:
    """Set the policy's biases and thresholds, without the report sets; every category goes to shadow."""
    loaded = load_model(model, threads=threads)
    for name, setting in apply.fit_policy(policy, loaded, HeldOut(work, loaded)).items():
        Console().print(name, setting)


@app.command("references")
def references_command(
    work: Work,
    model: ModelFolder = _MODEL,
    output: Annotated[Path, typer.Option(help="The file that ships beside the model.")] = _REFERENCES,
    threads: Threads = 1,
) -> None:
    """Embed drawings of the selection sets for lint; to be repeated once the model is exported again."""
    loaded = load_model(model, threads=threads)
    written = references.write(HeldOut(work, loaded), loaded, output)
    neutral = sum(drawing.neutral for drawing in written.drawings)
    size = output.stat().st_size
    typer.echo(f"{output}: {neutral} neutral, {len(written.drawings) - neutral} others, {size:,} bytes")


@app.command("decide")
def decide_command(
    work: Work,
    model: ModelFolder = _MODEL,
    policy: PolicyFile = _POLICY,
    threads: Threads = 1,
) -> None:
    """Enforce the categories of a fitted policy that pass the slice gate; opens the report sets, so only once."""
    record = decide.decide(report.load_subject(work, model, policy, threads))
    (work / "gate.json").write_text(json.dumps(record, indent=1))
    apply.set_modes(policy, frozenset(name for name, found in record.items() if found["decision"]["enforce"]))
    typer.echo(gate_tables(record))


@app.command("compare")
def compare_command(
    work: Work,
    before: Annotated[str, typer.Option(help="The git revision whose policy is measured beside the current one.")],
    role: Annotated[str, typer.Option(help="`selection`, or `report` once everything is chosen.")] = "report",
    model: ModelFolder = _MODEL,
    policy: PolicyFile = _POLICY,
) -> None:
    """Measure the policy and an older version on the same drawings: found, wrongly stopped, slices, twins."""
    subject = report.load_subject(work, model, policy, 1)
    trial = compare.gather_trial(subject.held, role, tuple(c.id for c in subject.compiled.policy.categories))
    vectors = subject.held.vectors(trial.evidence.rows, "clean")
    texts = (judged.policy_at(before, policy), policy.read_text())
    record = compare.compare(trial, [judged.judge_text(text, subject.model, vectors) for text in texts])
    (work / f"compare-{role}.json").write_text(json.dumps(record, indent=1))
    typer.echo(compare_tables(record))


@app.command("evaluate")
def evaluate_command(
    work: Work,
    role: Annotated[str, typer.Option(help="`selection`, or `report` once everything is chosen.")] = "report",
    model: ModelFolder = _MODEL,
    policy: PolicyFile = _POLICY,
    threads: Threads = 1,
) -> None:
    """Measure every figure of the model card and print them as tables."""
    torch.set_num_threads(threads)
    record = report.evaluate(report.load_subject(work, model, policy, threads), role)
    typer.echo(report.tables(record))


@app.command("latency")
def latency_command(model: ModelFolder = _MODEL) -> None:
    """Time one image on one core."""
    figures = latency.measure_latency(load_model(model, threads=1))
    typer.echo(" ".join(f"{name} {value:.2f}" for name, value in figures.items()))


@app.command("card")
def card_command(work: Work, model: ModelFolder = _MODEL) -> None:
    """Write MODEL_CARD.md and ATTRIBUTION.md into the model folder, from the figures measured."""
    card.write_card(work, model)


@app.command("demo")
def demo_command(work: Work, model: ModelFolder = _MODEL, policy: PolicyFile = _POLICY, images: Path = _DEMO) -> None:
    """Choose the demo's images from the report sets by a seeded rule."""
    demo.write_demo(report.load_subject(work, model, policy, 1), images)


@app.command("fixtures")
def fixtures_command(work: Work, folder: Annotated[Path, typer.Option(help="Holds fixtures.csv.")] = _FIXTURES) -> None:
    """Draw the fixtures that the tests judge."""
    demo.write_fixtures(work, folder)


if __name__ == "__main__":
    app()
