"""Checkpoints with seeded weights are the same in every run, whatever torch's own generator did before."""

from collections.abc import Callable

import pytest
import torch
import transformers
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from open_clip.transformer import VisionTransformer

from kit.checkpoints import seeded

TOWER = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "num_hidden_layers": 1}
SPECIAL = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "vocab_size": 8}
KINDS: dict[str, Callable[[], torch.nn.Module]] = {
    "CLIP": lambda: transformers.CLIPModel(transformers.CLIPConfig(vision_config=TOWER, text_config=TOWER | SPECIAL)),
    "SigLIP": lambda: transformers.SiglipModel(
        transformers.SiglipConfig(vision_config=TOWER, text_config=TOWER | SPECIAL)
    ),
    "open_clip": lambda: VisionTransformer(64, 32, 16, 1, 2, 4.0),
    "safety checker": lambda: StableDiffusionSafetyChecker(transformers.CLIPConfig(vision_config=TOWER)),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_parameter_is_left_to_chance(kind: str) -> None:
    states = []
    for chance in (1, 2):
        torch.manual_seed(chance)
        states.append(seeded(KINDS[kind]()).state_dict())
    assert [name for name, value in states[0].items() if not torch.equal(value, states[1][name])] == []


def test_norms_have_weights_that_show_when_they_are_left_out() -> None:
    norms = {name: value for name, value in seeded(KINDS["CLIP"]()).named_parameters() if "norm" in name}
    assert len(norms) >= 8
    assert all(value.std() > 0.01 for value in norms.values())
