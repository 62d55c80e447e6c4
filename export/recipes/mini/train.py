"""Train the image tower against locked text vectors, on a clock: it ends on time and resumes."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from recipes.mini.augment import Augmenter
from recipes.mini.network import ImageTower
from recipes.mini.prepare import TrainingData, load_training
from recipes.mini.quick import quick_recall
from recipes.mini.render import Pixels

# Shares of a batch by group; emoji are a fifth of the drawings and two fifths of the samples.
GROUP_SHARES: Final = {"emoji": 0.43, "flag": 0.06, "colour": 0.08, "plain": 0.43}
_TONED_WEIGHT: Final = 0.2  # a skin-tone variant is drawn a fifth as often as the plain drawing
_FAVOURED: Final = {"fluent-emoji-high-contrast": 2.0, "game-icons": 1.5}
_SCALE_LIMIT: Final = math.log(100.0)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how to train.

    Attributes:
        minutes: Wall-clock length of the whole run; resuming continues the same clock.
        batch: Drawings a step.
        rate: Peak learning rate of AdamW.
        decay: Weight decay of matrices and kernels.
        sides: Sides in pixels by the share of the run after which they begin; a step draws one of them.
        seed: Seed of sampling, augmentation and weights.
        average: Decay of the moving average of the weights, a step.
    """

    minutes: float = 100.0
    batch: int = 128
    rate: float = 2e-3
    decay: float = 0.05
    sides: tuple[tuple[float, tuple[int, ...]], ...] = (
        (0.0, (48,)),
        (0.42, (64,)),
    )
    seed: int = 20261121
    average: float = 0.9985

    def sides_at(self, progress: float) -> tuple[int, ...]:
        """Return the sides in pixels that a step may draw at a share of the run.

        Args:
            progress: 0..1.

        Returns:
            One or more sides.
        """
        return [sides for start, sides in self.sides if start <= progress][-1]

    def rate_at(self, progress: float) -> float:
        """Return the learning rate at a share of the run: a short warm-up, then a cosine to zero.

        Args:
            progress: 0..1.

        Returns:
            The rate.
        """
        warm = 0.015
        if progress < warm:
            return self.rate * progress / warm
        return self.rate * 0.5 * (1.0 + math.cos(math.pi * (progress - warm) / (1.0 - warm)))


def sampling_weights(data: TrainingData) -> npt.NDArray[np.float64]:
    """Return how likely each drawing is to be drawn.

    Args:
        data: The training data.

    Returns:
        Probabilities, float64 [M].
    """
    weight = np.where(data.toned, _TONED_WEIGHT, 1.0) * data.focus[data.labels]
    for icon_set, factor in _FAVOURED.items():
        weight = np.where(data.sets == icon_set, weight * factor, weight)
    for group, share in GROUP_SHARES.items():
        members = data.groups == group
        if members.any():
            weight[members] *= share / weight[members].sum()
    chances: npt.NDArray[np.float64] = weight / weight.sum()
    return chances


def channels_last(tower: ImageTower) -> ImageTower:
    """Lay kernels out with channels innermost, as the CPU's convolutions want them.

    Args:
        tower: Changed in place.

    Returns:
        The same tower.
    """
    for parameter in tower.parameters():
        if parameter.ndim == 4:  # noqa: PLR2004 - kernels
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return tower


def halve(pixels: Pixels) -> Pixels:
    """Halve drawings by averaging, so that small views start from a smooth source.

    Args:
        pixels: Straight RGBA, uint8 [M,H,H,4].

    Returns:
        uint8 [M,H/2,H/2,4], averaged premultiplied and made straight again.
    """
    count, side = pixels.shape[0], pixels.shape[1] // 2
    out = np.zeros((count, side, side, 4), np.uint8)
    for start in range(0, count, 1024):
        block = pixels[start : start + 1024].astype(np.float32)
        block[..., :3] *= block[..., 3:] / 255.0
        small = block.reshape(len(block), side, 2, side, 2, 4).mean((2, 4))
        small[..., :3] *= 255.0 / np.maximum(small[..., 3:], 1.0)
        out[start : start + 1024] = small.round().clip(0, 255)
    return out


class Trainer:
    """All state of a run; `save` and `restore` carry it across processes."""

    def __init__(self, work: Path, plan: Plan, start: ImageTower | None = None) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.work = work
        self.data = load_training(work)
        self.half = halve(self.data.pixels)
        self.tower = channels_last(start or ImageTower())
        self.average = ImageTower()
        self.average.load_state_dict(self.tower.state_dict())
        self.scale = nn.Parameter(torch.tensor(math.log(20.0)))
        self.optimizer = torch.optim.AdamW(self._groups(), lr=plan.rate, betas=(0.9, 0.98))
        self.rng = torch.Generator().manual_seed(plan.seed)
        self.chance = np.random.default_rng(plan.seed)
        self.cumulative = np.cumsum(sampling_weights(self.data))
        self.captions = torch.from_numpy(self.data.captions)
        self.near = torch.from_numpy(self.data.near)
        self.share = torch.from_numpy(self.data.share)
        self.elapsed, self.step, self.samples = 0.0, 0, 0

    def _groups(self) -> list[dict[str, Any]]:
        kernels = [p for p in self.tower.parameters() if p.ndim > 1]
        others = [p for p in self.tower.parameters() if p.ndim <= 1]
        return [
            {"params": kernels, "weight_decay": self.plan.decay},
            {"params": [*others, self.scale], "weight_decay": 0.0},
        ]

    @property
    def progress(self) -> float:
        """Share of the run that is over, by the clock."""
        return min(1.0, self.elapsed / (60.0 * self.plan.minutes))

    def train_step(self) -> float:
        """Take one step.

        Returns:
            The loss in nats.
        """
        rows = np.searchsorted(self.cumulative, self.chance.random(self.plan.batch))
        rows = rows.clip(max=len(self.data.labels) - 1)
        sides = self.plan.sides_at(self.progress)
        side = sides[int(torch.randint(0, len(sides), (1,), generator=self.rng))]
        source = self.half if side <= self.half.shape[1] else self.data.pixels
        view = Augmenter(side=side, rng=self.rng)(
            torch.from_numpy(source[rows]), torch.from_numpy(self.data.palette[rows])
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate_at(self.progress)
        features = self.tower(view.contiguous(memory_format=torch.channels_last))
        loss = self._loss(features, torch.from_numpy(self.data.labels[rows]))
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.tower.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            self.scale.clamp_(max=_SCALE_LIMIT)
        self._follow()
        self.step += 1
        self.samples += self.plan.batch
        return float(loss.detach())

    def _loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy over all training names, a fresh caption for each, shares by meaning."""
        slots = self.captions.shape[1]
        pick = torch.randint(0, slots, (len(self.captions),), generator=self.rng)
        captions = self.captions[torch.arange(len(self.captions)), pick]
        logits = self.scale.exp() * features @ captions.T
        log_probability = functional.log_softmax(logits, dim=-1)
        wanted = log_probability.gather(1, self.near[labels])
        loss: Tensor = -(wanted * self.share[labels]).sum(1).mean()
        return loss

    def _follow(self) -> None:
        decay = min(self.plan.average, (1 + self.step) / (20 + self.step))
        ours, theirs = self.average.state_dict(), self.tower.state_dict()
        floats = [k for k, v in ours.items() if v.is_floating_point()]
        for key in floats:
            ours[key].lerp_(theirs[key], 1.0 - decay)

    def save(self) -> None:
        """Write the checkpoint, replacing the last one whole."""
        state = {
            "plan": asdict(self.plan),
            "tower": self.tower.state_dict(),
            "average": self.average.state_dict(),
            "scale": self.scale.detach(),
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.get_state(),
            "chance": json.dumps(self.chance.bit_generator.state),
            "clock": (self.elapsed, self.step, self.samples),
        }
        scratch = self.work / "checkpoint.part.pt"
        torch.save(state, scratch)
        scratch.rename(self.work / "checkpoint.pt")

    def restore(self) -> bool:
        """Continue from the checkpoint, where there is one.

        Returns:
            Whether there was one.
        """
        path = self.work / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        self.tower.load_state_dict(state["tower"])
        self.average.load_state_dict(state["average"])
        self.scale.data.copy_(state["scale"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.set_state(state["rng"])
        self.chance.bit_generator.state = json.loads(state["chance"])
        self.elapsed, self.step, self.samples = state["clock"]
        return True


def train(work: Path, plan: Plan, start: ImageTower | None = None, every_minutes: float = 5.0) -> None:
    """Run the plan to its end, saving and measuring as it goes; call again to resume.

    Args:
        work: The work folder, prepared.
        plan: The plan.
        start: Weights to begin from, for a second round; none begins from seeded noise.
        every_minutes: Minutes between checkpoints.
    """
    console = Console(width=140)
    trainer = Trainer(work, plan, start)
    console.print("resumed" if trainer.restore() else "fresh", len(trainer.data.labels), "drawings")
    saved, losses, began = trainer.elapsed, [], trainer.samples
    while trainer.progress < 1.0:
        before = time.monotonic()
        losses.append(trainer.train_step())
        trainer.elapsed += time.monotonic() - before
        if trainer.elapsed - saved >= 60.0 * every_minutes or trainer.progress >= 1.0:
            trainer.save()
            speed = (trainer.samples - began) / max(trainer.elapsed - saved, 1e-9)
            recall = quick_recall(work, trainer.average)
            console.print(
                f"{time.strftime('%H:%M:%S')} {trainer.progress:6.1%} step {trainer.step} samples {trainer.samples} "
                f"loss {np.mean(losses):.3f} scale {trainer.scale.detach().exp().item():.1f} "
                f"{speed:.0f} images/s noto-v1 recall@1 {recall[0]:.3f} @5 {recall[1]:.3f}"
            )
            saved, losses, began = trainer.elapsed, [], trainer.samples
