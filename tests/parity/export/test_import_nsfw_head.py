"""Imported, LAION's NSFW heads give what their own modules give, and a wrong import would not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from clipwarden.client import AsyncClient
from clipwarden.engine.snapshot import load_snapshot
from clipwarden.modelfolder.load import Model, load_model
from clipwarden.serving.server import running_server
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.vision.preprocess import fit_to_side
from clipwarden_export.cli import app
from clipwarden_export.exits import Exit
from clipwarden_export.importers.imported import POLICY_NAME
from kit.checkpoints import varied_pictures, varied_pngs
from kit.serving import settings_for_test

WIDTH = 64
Vectors = NDArray[np.float32]


class Normalising(nn.Module):
    """The kind for ViT-B/32 and ViT-L/14: means and variances, named layers, a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.Module()
        self.norm.register_buffer("mean", torch.zeros(WIDTH))
        self.norm.register_buffer("variance", torch.ones(WIDTH))
        self.linear_1, self.linear_2, self.linear_3 = nn.Linear(WIDTH, 24), nn.Linear(24, 16), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.norm.mean) / (self.norm.variance.sqrt() + 1e-10)
        x = torch.relu(self.linear_2(torch.relu(self.linear_1(x))))
        return torch.sigmoid(self.linear_3(x))


class Sequential(nn.Module):
    """The kind for ViT-H/14: ReLU and Dropout between all layers but the last two, and no sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        between = (nn.ReLU(), nn.Dropout(0.2))
        self.layers = nn.Sequential(
            nn.Linear(WIDTH, 32), *between, nn.Linear(32, 16), *between, nn.Linear(16, 8), nn.Linear(8, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def vectors(model: Model) -> Vectors:
    pictures = varied_pictures()
    return np.concatenate([model.image.encode(fit_to_side(each, model.manifest.image)[None]) for each in pictures])


def trained(kind: type[nn.Module], vectors: Vectors) -> nn.Module:
    """Seed a head so that its numbers spread over the pictures; only its structure comes from LAION."""
    generator = torch.Generator().manual_seed(7)
    head = kind().eval()
    with torch.no_grad():
        for parameter in head.parameters():
            fan_in = parameter.shape[-1]
            scale = 1.5 * fan_in**-0.5 if parameter.ndim > 1 else 0.3
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
        inputs = torch.from_numpy(vectors)
        if isinstance(head, Normalising):
            head.norm.mean.copy_(inputs.mean(dim=0))
            head.norm.variance.copy_(inputs.var(dim=0) + 1e-4)
        else:
            head.layers[0].weight.mul_(5.0)
    return head


def answers(head: nn.Module, vectors: Vectors) -> NDArray[np.float64]:
    with torch.no_grad():  # inference mode would leave weights that a mutation may not touch
        return head.double()(torch.from_numpy(vectors).double())[:, 0].numpy()


def middle(values: NDArray[np.float64]) -> float:
    """A threshold in the widest gap of the middle third."""
    ordered = np.sort(values)
    first, last = len(ordered) // 3, 2 * len(ordered) // 3
    index = first + int(np.argmax(np.diff(ordered)[first:last]))
    return float(ordered[index] + ordered[index + 1]) / 2


def saved(head: nn.Module, path: Path) -> Path:
    torch.save(head.float().state_dict(), path)
    return path


def run(*arguments: object) -> Result:
    # Wide enough that no sentence is wrapped, and plain.
    terminal = {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner(env=terminal).invoke(app, ["import", "nsfw-head", *(str(each) for each in arguments)])


def imported(source: Path, model: Path, folder: Path, threshold: float, *extra: object) -> Path:
    settings = ("--model", model, "--threshold", repr(threshold), "--allow-pickle", source.name, "--overwrite")
    result = run(source, "-o", folder, *settings, *extra)
    assert result.exit_code == Exit.OK, result.output
    return folder


async def served(model: Path, folder: Path) -> list[pb.CategoryResult]:
    snapshot = load_snapshot(str(model), [str(folder / POLICY_NAME)], threads=1)
    async with running_server(settings_for_test(), snapshot) as server, AsyncClient(server.address) as client:
        results = await client.moderate_batch(varied_pngs(), timeout=300)
    return [result.unwrap().categories[0] for result in results]


def bands(categories: list[pb.CategoryResult]) -> list[bool]:
    return [each.band == pb.VERDICT_BLOCK for each in categories]


@pytest.mark.parametrize("kind", [Normalising, Sequential])
async def test_served_verdicts_and_scores_equal_those_of_the_head_itself(
    kind: type[nn.Module], vectors: Vectors, tiny_model: Path, tmp_path: Path
) -> None:
    head = trained(kind, vectors)
    values = answers(head, vectors)
    threshold = middle(values)
    expected = values >= threshold
    assert len(expected) >= 50
    assert 0.2 <= expected.mean() <= 0.8
    assert np.abs(values - threshold).min() > 1e-5
    categories = await served(
        tiny_model, imported(saved(head, tmp_path / "head.pth"), tiny_model, tmp_path / "out", threshold)
    )
    assert bands(categories) == expected.tolist()
    scores = values if kind is Normalising else 1 / (1 + np.exp(-values))
    assert [each.score for each in categories] == pytest.approx(scores.tolist(), abs=1e-5)


def no_norm(head: nn.Module) -> None:
    head.norm.mean.zero_()
    head.norm.variance.fill_(1.0)


def no_last_bias(head: nn.Module) -> None:
    head.linear_3.bias.add_(3.0)


def rolled(head: nn.Module) -> None:
    head.linear_1.weight.copy_(head.linear_1.weight.roll(1, dims=1))


@pytest.mark.parametrize("mutate", [no_norm, no_last_bias, rolled])
async def test_a_wrong_head_fails_the_comparison(
    mutate: Callable[[nn.Module], None], vectors: Vectors, tiny_model: Path, tmp_path: Path
) -> None:
    head = trained(Normalising, vectors)
    values = answers(head, vectors)
    threshold = middle(values)
    with torch.no_grad():
        mutate(head)
    categories = await served(
        tiny_model, imported(saved(head, tmp_path / "head.pth"), tiny_model, tmp_path / "out", threshold)
    )
    assert bands(categories) != (values >= threshold).tolist()


async def test_a_value_read_as_a_logit_fails_the_comparison(vectors: Vectors, tiny_model: Path, tmp_path: Path) -> None:
    head = trained(Sequential, vectors)
    with torch.no_grad():  # values near 0 to 1, as a head fitted to them gives
        raw = answers(head, vectors)
        head.float().layers[-1].weight.mul_(0.2 / raw.std())
        head.layers[-1].bias.mul_(0.2 / raw.std())
        head.layers[-1].bias.add_(0.5 - float(np.median(raw)) * 0.2 / raw.std())
    values = answers(head, vectors)
    threshold = middle(values)
    assert 0.0 < threshold < 1.0
    source = saved(head, tmp_path / "head.pth")
    right = await served(tiny_model, imported(source, tiny_model, tmp_path / "right", threshold))
    wrong = await served(tiny_model, imported(source, tiny_model, tmp_path / "wrong", threshold, "--reading", "logit"))
    expected = (values >= threshold).tolist()
    assert bands(right) == expected
    assert bands(wrong) != expected


def test_a_safetensors_head_needs_no_permission_and_says_what_it_is(
    vectors: Vectors, tiny_model: Path, tmp_path: Path
) -> None:
    save_file(trained(Sequential, vectors).state_dict(), tmp_path / "head.safetensors")
    arguments = (tmp_path / "head.safetensors", "-o", tmp_path / "out", "--model", tiny_model)
    result = run(*arguments, "--json")
    assert result.exit_code == Exit.OK, result.output
    figures = json.loads(result.stdout)["figures"]
    assert (figures["layers"], figures["reading"]) == (3, "value")
    assert figures["score"] == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_mistakes_end_with_a_sentence_and_leave_nothing(vectors: Vectors, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = saved(trained(Normalising, vectors), tmp_path / "in" / "head.pth")
    wide = tmp_path / "in" / "wide.safetensors"
    save_file({"layers.0.weight": torch.ones(1, 9), "layers.0.bias": torch.ones(1)}, wide)
    for arguments, code, sentence in (
        ((source,), Exit.SOURCE, "--allow-pickle head.pth"),
        ((source, "--allow-pickle", "head.pth", "--threshold", "1.5"), Exit.USAGE, "a probability between 0 and 1"),
        ((source, "--allow-pickle", "head.pth", "--reading", "odds"), Exit.USAGE, "must be logit or value"),
        ((wide,), Exit.SOURCE, "embeddings of 9 values, and tiny-clip makes 64"),
    ):
        result = run(*arguments, "-o", tmp_path / "out", "--model", tiny_model)
        assert result.exit_code == code, result.output
        assert sentence in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
