"""An exported checkpoint, served over gRPC, gives the verdicts that its own library's cosines give."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clipwarden.client import AsyncClient
from clipwarden.engine.snapshot import load_snapshot
from clipwarden.modelfolder.encoder import ImageEncoder
from clipwarden.modelfolder.files import load_background
from clipwarden.modelfolder.load import load_manifest, load_model, write_model_folder
from clipwarden.modelfolder.manifest import IMAGE_NAME, TEXT_NAME, TOKENIZER_NAME
from clipwarden.modelfolder.session import open_session
from clipwarden.modelfolder.tokenizer import Tokenizer
from clipwarden.serving.server import running_server
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden_export.graphs.graph import export_graph, image_signature
from clipwarden_export.sources.loading import load_checkpoint
from clipwarden_export.sources.towers import unit
from clipwarden_export.verification.golden import make_golden
from clipwarden_export.verification.verify import Encoders
from kit.checkpoints import KINDS, Folders, Reference, varied_pictures, varied_pngs, varied_strings
from kit.lines import chosen_text
from kit.serving import settings_for_test

PROMPT = "a photo of a red bicycle"
POLICY = """
api: clipwarden/v1
metadata: {{id: parity}}
model: {{fingerprint: "{fingerprint}"}}
defaults: {{mode: enforce, templates: ["{{}}"]}}
categories:
- id: probe
  severity: 2
  definition: Anything near the prompt.
  prompts: ["{prompt}"]
  scoring: {{method: cosine, pool: max}}
  thresholds: {{unit: cosine, review: {review!r}, block: {block!r}}}
"""


class Constant(nn.Module):
    """A wrong encoder: one vector for every image, up to a trace of brightness so that golden vectors differ."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, dim))

    def forward(self, pixels: Tensor) -> Tensor:
        trace = pixels.to(torch.float32).mean(dim=(1, 2, 3)) * 1e-5
        ramp = torch.linspace(-1.0, 1.0, len(self.weight))
        return unit(self.weight + trace[:, None] * ramp)


class Shuffled(nn.Module):
    """A wrong encoder: the right tower, shown the picture's rows in another order."""

    def __init__(self, tower: nn.Module, side: int) -> None:
        super().__init__()
        self.tower = tower
        self.register_buffer("order", torch.randperm(side, generator=torch.Generator().manual_seed(0)))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.tower(pixels[:, self.order])


def thresholds(scores: Sequence[float]) -> tuple[float, float]:
    """Cut the scores near their thirds, each time in the widest gap, so that rounding cannot move a verdict."""
    ordered = np.sort(scores)
    gaps = np.diff(ordered)
    cuts = []
    for low, high in ((0.28, 0.4), (0.6, 0.72)):
        first, last = int(low * len(ordered)), int(high * len(ordered))
        index = first + int(np.argmax(gaps[first:last]))
        cuts.append(float(ordered[index] + ordered[index + 1]) / 2)
    return cuts[0], cuts[1]


def expected_verdicts(scores: Sequence[float], review: float, block: float) -> list[int]:
    return [
        pb.VERDICT_BLOCK if score >= block else pb.VERDICT_REVIEW if score >= review else pb.VERDICT_ALLOW
        for score in scores
    ]


async def served_verdicts(model: Path, review: float, block: float, scratch: Path) -> list[int]:
    """Serve a model folder under a policy on one prompt, and judge every picture over gRPC, as PNG."""
    policy = scratch / "parity.yaml"
    fingerprint = load_model(model).fingerprint
    text = POLICY.format(fingerprint=fingerprint, prompt=PROMPT, review=review, block=block)
    policy.write_text(chosen_text(text))
    snapshot = load_snapshot(str(model), [str(policy)], threads=1)
    async with running_server(settings_for_test(), snapshot) as server, AsyncClient(server.address) as client:
        results = await client.moderate_batch(varied_pngs(), timeout=300)
    return [result.unwrap().verdict for result in results]


def republish(model: Path, tower: nn.Module, destination: Path) -> Path:
    """Make a model folder whose image graph is another one, sound in every other way: what no digest can catch."""
    manifest = load_manifest(model)
    graph = destination.with_suffix(".onnx")
    export_graph(tower, image_signature(manifest.image.side), graph)
    image = ImageEncoder(open_session(graph), side=manifest.image.side, dim=manifest.dim)
    encoders = Encoders(image=image, text=load_model(model).text)
    golden = make_golden(encoders, side=manifest.image.side, precision="fp32")
    files = {IMAGE_NAME: graph, TEXT_NAME: model / TEXT_NAME, TOKENIZER_NAME: model / TOKENIZER_NAME}
    write_model_folder(
        destination, replace(manifest, golden=golden), files=files, background=load_background(model, manifest)
    )
    return destination


@pytest.mark.parametrize("kind", list(KINDS))
async def test_verdicts_equal_those_of_the_origins_own_library(
    kind: str, checkpoint_of: Folders, model_of: Folders, tmp_path: Path
) -> None:
    scores = KINDS[kind].reference(checkpoint_of(kind)).scores(varied_pictures(), PROMPT)
    review, block = thresholds(scores)
    expected = expected_verdicts(scores, review, block)
    assert len(expected) >= 50
    assert all(expected.count(verdict) >= len(expected) / 5 for verdict in set(expected)), "a verdict covers too little"
    assert len(set(expected)) == 3

    assert await served_verdicts(model_of(kind), review, block, tmp_path) == expected


@pytest.mark.parametrize("wrong", ["constant", "shuffled"])
async def test_a_wrong_encoder_fails_the_comparison_of_verdicts(
    wrong: str, tiny_checkpoint: Path, tiny_model: Path, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(str(tiny_checkpoint))
    tower = {
        "constant": Constant(checkpoint.dim),
        "shuffled": Shuffled(checkpoint.image_tower, checkpoint.image.side),
    }[wrong].eval()
    scores = KINDS["clip-b32"].reference(tiny_checkpoint).scores(varied_pictures(), PROMPT)
    review, block = thresholds(scores)
    expected = expected_verdicts(scores, review, block)

    assert await served_verdicts(tiny_model, review, block, tmp_path) == expected
    found = await served_verdicts(republish(tiny_model, tower, tmp_path / wrong), review, block, tmp_path)
    differing = sum(left != right for left, right in zip(found, expected, strict=True))
    assert differing >= len(expected) / 5


@pytest.mark.parametrize("kind", ["clip-b32", "siglip2", "open_clip-vit"])
def test_token_ids_equal_those_of_the_origins_own_tokenizer(
    kind: str, checkpoint_of: Folders, model_of: Folders
) -> None:
    reference: Reference = KINDS[kind].reference(checkpoint_of(kind))
    folder = model_of(kind)
    tokenizer = Tokenizer(folder / TOKENIZER_NAME, load_manifest(folder).text)
    strings = varied_strings()
    expected = reference.token_ids(strings)

    differing = [
        text for text, ids in zip(strings, expected, strict=True) if list(tokenizer.encode(text)[0]) != list(ids)
    ]
    assert len(strings) == 1000
    assert differing == []
    # Or an encoder that ignores its text would pass.
    assert len({tuple(ids) for ids in expected}) > 900
