"""From drawings to a served policy: tuned, written, linted, compiled, served, and every verdict as it was predicted."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from clipwarden.cli.main import app
from clipwarden.cli.subserver import running_subserver
from clipwarden.client import Client
from clipwarden.modelfolder.load import EMBEDDED_MODEL, Model, load_model, resolve_model
from clipwarden.modelfolder.references import References, load_references
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.schema import Mode, Verdict
from clipwarden.policy.shipped import shipped_policy
from clipwarden.scoring.tables import prepare
from clipwarden.scoring.verdict import ViewRef
from clipwarden.tuning.store.info import Sight, Source
from clipwarden.tuning.store.records import PictureRecord, UploadRecord
from clipwarden.tuning.store.store import open_store
from clipwarden.tuning.store.storefile import Charter
from clipwarden.tuning.store.writing import writing
from clipwarden.tuning.verdicts import judge_store
from clipwarden.v1 import moderation_pb2 as v1
from clipwarden.vision.facts import FileFacts, ImageFacts

DRAWINGS = Path(__file__).parents[2] / "service" / "clipwarden" / "demo" / "images"
TUNED = ("gambling", "substances.alcohol")
# Drawings are square: one view under any plan.
PLAN = load_policy(shipped_policy("stickers")).policy.plan


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(resolve_model(EMBEDDED_MODEL), threads=1)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: object) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    return result


def digest(of: str) -> str:
    return hashlib.sha256(of.encode()).hexdigest()


def references_store(path: Path, model: Model, references: References) -> Path:
    """Write the drawings that ship as vectors into a store, and what a person saw in them beside it."""
    sight = Sight(
        model="mini",
        fingerprint=model.fingerprint,
        provider="CPUExecutionProvider",
        precision="fp16",
        plan=PLAN,
        width=references.embeddings.shape[1],
    )
    rows = [json.dumps({"labels": "clipwarden.labels/1", "design": "set", "complete": True, "categories": [*TUNED]})]
    with writing(path, Charter(source=Source.SET, sight=sight)) as writer:
        for drawing, vector in zip(references.drawings, references.embeddings, strict=True):
            name = f"{drawing.icon_set}/{drawing.name}"
            file = FileFacts(format="PNG", width=96, height=96, sha256=digest(name), bytes=1)
            writer.add_picture(
                PictureRecord(
                    sha256=digest(name),
                    facts=ImageFacts(file=file),
                    views=(ViewRef(name="full", frame=0),),
                    vectors=np.asarray(vector, np.float32)[np.newaxis],
                )
            )
            writer.add_upload(UploadRecord(uri=name, sha256=digest(name), time=datetime(2026, 10, 1, tzinfo=UTC)))
            shows = {each: True for each in drawing.shows if each in TUNED}
            rows.append(json.dumps({"sha256": digest(name), "labels": shows}))
    path.with_suffix(".jsonl").write_text("\n".join(rows))
    return path


def test_what_was_tuned_is_served_as_it_was_predicted(here: Path, model: Model) -> None:
    references = load_references(model.fingerprint)
    assert references is not None
    store = references_store(here / "drawings.store", model, references)
    Path("mine.yaml").write_text(run("policies", "stickers").stdout)
    targets = ("--block-fpr", "1%", "--review-recall", "50%", "--prevalence", "0.5%")
    asked = ("--store", store, "--labels", store.with_suffix(".jsonl"), *targets, "--write")
    # A prevalence is that of one category: one version each.
    for policy, category, version in zip(("mine.yaml", "mine-1.9.yaml"), TUNED, ("1.9", "2.0"), strict=True):
        notes = ("--version", version, "--author", "kim", "--approved-by", "lee")
        tuned = run("tune", policy, *asked, "--only", category, *notes)
        assert f"Once it is live, {category} stops uploads by the new numbers; nothing else was raised" in tuned.stderr
    run("lint", "mine-2.0.yaml", "--strict", "--model", "mini")
    run("compile", "mine-2.0.yaml", "-o", "mine.bundle")

    new, old = load_policy(Path("mine-2.0.yaml")).policy, load_policy(Path("mine.yaml")).policy
    assert [each.mode for each in new.categories] == [each.mode for each in old.categories]
    opened = open_store(store)
    predicted = judge_store(opened, prepare(compile_policy(new, model=model)))
    before = judge_store(opened, prepare(compile_policy(old, model=model)))
    assert (predicted.verdict != before.verdict).any()
    by_digest = dict(zip(opened.pictures.sha256, predicted.verdict.tolist(), strict=True))
    run("embed", *sorted(DRAWINGS.glob("*.png")), "-o", "files.store", *PLAN.options.split())
    files = open_store(here / "files.store")
    of_files = judge_store(files, prepare(compile_policy(new, model=model)))
    with running_subserver(["--policy", "mine.bundle"]) as server, Client(server.target, sleep=server.sleep) as client:
        client.wait_until_ready()
        for drawing, vector in list(zip(references.drawings, references.embeddings, strict=True))[::5]:
            values = [v1.Embedding(values=np.asarray(vector, np.float32).tolist())]
            facts = v1.ImageFacts(
                frames_total=1,
                frames_judged=1,
                coverage=1,
                view_plan=v1.ViewPlan(views=PLAN.views.value, frames=PLAN.frames),
            )
            served = client.moderate_embedding(values, model_fingerprint=model.fingerprint, facts=facts)
            wanted = Verdict(by_digest[digest(f"{drawing.icon_set}/{drawing.name}")])
            assert v1.Verdict.Name(served.verdict) == f"VERDICT_{wanted.name}", drawing
        verdicts = dict(zip(files.pictures.sha256, of_files.verdict.tolist(), strict=True))
        for path in sorted(DRAWINGS.glob("*.png")):
            data = path.read_bytes()
            wanted = Verdict(verdicts[hashlib.sha256(data).hexdigest()])
            assert v1.Verdict.Name(client.moderate(data).verdict) == f"VERDICT_{wanted.name}", path
    assert {Verdict(each) for each in predicted.verdict.tolist()} == set(Verdict)
    assert all(each.mode is Mode.ENFORCE for each in new.categories if each.id in TUNED)
