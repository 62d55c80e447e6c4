"""A chain of Linear layers is folded into one that gives the same numbers, and anything else is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from clipwarden.errors import ConfigError
from clipwarden_export.errors import SourceError
from clipwarden_export.importers.nsfwhead import NsfwHead, Reading, load_head, score_bound

INPUTS = np.random.default_rng(3).normal(size=(20, 6)).astype(np.float32)


def evaluate(head: NsfwHead) -> np.ndarray:
    values = INPUTS.astype(np.float64)
    for number, (weight, bias) in enumerate(head.layers):
        values = (np.maximum(values, 0) if number else values) @ weight.T + bias
    return values[:, 0]


def write(folder: Path, state: dict[str, Tensor]) -> Path:
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "head.safetensors")
    return folder / "head.safetensors"


def chain(*modules: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    for module in modules:
        for parameter in module.parameters():
            nn.init.normal_(parameter)
    return nn.Sequential(*modules).eval()


@pytest.mark.parametrize("prefix", ["", "layers.", "model.mlp."])
def test_layers_without_anything_between_become_one(prefix: str, tmp_path: Path) -> None:
    module = chain(
        nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(5, 4), nn.Linear(4, 3), nn.Linear(3, 1, bias=False)
    )
    head = load_head(write(tmp_path, {f"{prefix}{name}": value for name, value in module.state_dict().items()}))
    assert [weight.shape for weight, _ in head.layers] == [(5, 6), (1, 5)]
    assert head.reading is Reading.VALUE
    with torch.inference_mode():
        assert evaluate(head) == pytest.approx(module(torch.from_numpy(INPUTS))[:, 0].numpy(), abs=1e-5)


def test_one_module_between_two_layers_is_asked_about(tmp_path: Path) -> None:
    """LAION's aesthetic predictor has a Dropout there and no ReLU; other heads have a ReLU and no Dropout."""
    module = chain(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1))
    path = write(tmp_path, module.state_dict())
    with pytest.raises(SourceError, match="If it is a ReLU: --relu-in-gaps"):
        load_head(path)
    with torch.inference_mode():
        expected = module(torch.from_numpy(INPUTS))[:, 0].numpy()
    assert evaluate(load_head(path, relu_in_gaps_of_two=True)) == pytest.approx(expected, abs=1e-5)


def state(**changes: Tensor | None) -> dict[str, Tensor]:
    base: dict[str, Tensor | None] = {
        "norm.mean": torch.zeros(6),
        "norm.variance": torch.ones(6),
        "linear_1.weight": torch.ones(4, 6),
        "linear_1.bias": torch.ones(4),
        "linear_2.weight": torch.ones(1, 4),
        "linear_2.bias": torch.ones(1),
    }
    renamed = {name.replace("__", "."): value for name, value in changes.items()}
    return {name: value for name, value in (base | renamed).items() if value is not None}


def test_named_layers_are_logits_with_a_relu_between_all(tmp_path: Path) -> None:
    head = load_head(write(tmp_path, state(norm__mean=torch.full((6,), 2.0), norm__variance=torch.full((6,), 4.0))))
    assert head.reading is Reading.LOGIT
    assert head.width == 6
    normalised = (INPUTS.astype(np.float64) - 2.0) / 2.0
    assert evaluate(head) == pytest.approx(4 * np.maximum(normalised.sum(axis=1) + 1, 0) + 1, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"norm__variance": torch.zeros(6)}, "variances above 0"),
        ({"norm__variance": None}, "variances above 0"),
        ({"norm__mean": None}, "must have norm.mean and norm.variance"),
        ({"norm__mean": torch.zeros(5)}, "of 6 numbers"),
        ({"linear_2__weight": None, "linear_2__bias": None, "linear_3__weight": torch.ones(1, 4)}, "1 and 3, and none"),
        ({"linear_1__weight": None}, "no weight of shape"),
        ({"linear_1__weight": torch.ones(4)}, "no weight of shape"),
        ({"linear_1__bias": torch.ones(3)}, "bias that does not fit"),
        ({"linear_2__weight": torch.full((1, 4), torch.nan)}, "not finite"),
        ({"linear_2__weight": torch.ones(1, 3)}, "gives 4 numbers and layer 2 takes 3"),
        ({"linear_2__weight": torch.ones(5, 4), "linear_2__bias": torch.ones(5)}, "gives 5 numbers for an image"),
        ({"scale": torch.ones(1)}, "it has scale"),
        ({"other_1__weight": torch.ones(1, 1)}, "no chain of Linear layers under one name"),
    ],
)
def test_what_is_no_head_is_refused_by_sentence(
    changes: dict[str, Tensor | None], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=sentence):
        load_head(write(tmp_path, state(**changes)))


def test_thresholds_keep_their_order_through_the_sigmoid() -> None:
    assert score_bound(0.3, Reading.LOGIT) == 0.3
    values = [score_bound(value, Reading.VALUE) for value in (-1.0, 0.0, 0.5, 1.2)]
    assert values == sorted(values)
    assert values[1] == 0.5
    for wrong, reading in ((0.0, Reading.LOGIT), (1.0, Reading.LOGIT), (np.nan, Reading.VALUE), (99.0, Reading.VALUE)):
        with pytest.raises(ConfigError, match="--threshold"):
            score_bound(wrong, reading)
