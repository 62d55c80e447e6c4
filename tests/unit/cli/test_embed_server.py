"""What embed keeps of an image is what a server makes of it: embeddings to the bit, and verdicts image for image."""

from pathlib import Path

import numpy as np
import pytest

from clipwarden.engine.snapshot import load_snapshot
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.schema import Verdict
from clipwarden.policy.shipped import shipped_policy
from clipwarden.serving.server import running_server
from clipwarden.tuning.scores import score_store
from clipwarden.tuning.store.store import Store, open_store
from clipwarden.tuning.verdicts import judge_store
from clipwarden.v1 import moderation_pb2 as pb
from kit.cli import Run
from kit.pictures import drawing, encode, natural_picture
from kit.serving import connected, settings_for_test

DRAWINGS = Path(__file__).parents[3] / "service/clipwarden/demo/images"


@pytest.fixture
def stored(run: Run, tmp_path: Path) -> Store:
    """Drawings, a photograph, a see-through picture and an animation, seen by the embedded model."""
    folder = tmp_path / "in"
    folder.mkdir()
    frames = [natural_picture(number, (120, 90)) for number in range(3)]
    (folder / "photo.jpg").write_bytes(encode(natural_picture(9, (640, 480)), "JPEG"))
    (folder / "clear.png").write_bytes(encode(drawing(see_through=True), "PNG"))
    (folder / "moving.webp").write_bytes(encode(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    plan = load_policy(shipped_policy("stickers")).policy.plan
    assert run("embed", folder, DRAWINGS, "-o", tmp_path / "store", *plan.options.split()).exit_code == 0
    return open_store(tmp_path / "store")


async def test_embeddings_scores_and_verdicts_are_those_of_a_server(stored: Store) -> None:
    snapshot = load_snapshot("mini", ["stickers"])
    tables = snapshot.select().tables
    verdicts, scores = judge_store(stored, tables), score_store(stored, tables)
    assert len(stored.pictures) == len(stored.uploads) > 12
    files = [Path(uri).read_bytes() for uri in stored.uploads.uri]  # noqa: ASYNC240  nobody waits
    async with (
        running_server(settings_for_test(max_batch=0, encoder_runs=0), snapshot) as server,
        connected(server.address) as caller,
    ):
        for data, picture in zip(files, stored.uploads.picture.tolist(), strict=True):
            answer = await caller.moderate(data, return_embeddings=True)
            _compare(stored, picture, answer)
            assert pb.Verdict.Name(answer.verdict) == f"VERDICT_{Verdict(verdicts.verdict[picture]).name}"
            for category in answer.categories:
                if category.HasField("score"):
                    assert scores.score[picture, scores.concepts.index(category.id)] == category.score


def _compare(stored: Store, picture: int, answer: pb.Moderation) -> None:
    block = stored.vectors(np.array([picture]))
    views = stored.pictures.views[int(stored.pictures.starts[picture]) :][: len(block.embeddings)]
    assert [(view.name, view.frame) for view in views] == [
        (each.view.name, each.view.frame) for each in answer.embeddings
    ]
    for row, each in zip(block.embeddings, answer.embeddings, strict=True):
        assert np.array_equal(row, np.array(each.values, dtype=np.float32))
