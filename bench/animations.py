"""What choosing among an animation's frames leaves unseen, finds and costs: `python -m bench.animations`.

Ordinary animations are those of the tests; the bad frame is a drawing of the demo that the shipped policy blocks on the
embedded model, and stands for a picture to be stopped.
"""

import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from bench.measure import Ratio, describe_machine, time_together
from clipwarden.engine.snapshot import Selection, load_snapshot
from clipwarden.modelfolder.load import EMBEDDED_MODEL
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.policy.schema import Verdict
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.verdict import Judgement, ViewRef
from clipwarden.vision.decode import decode_image
from clipwarden.vision.facts import DecodedImage
from clipwarden.vision.frames.distance import is_near, seen
from clipwarden.vision.plan import ViewPlan, Views
from clipwarden.vision.preprocess import fit_to_side
from kit.animations import ORDINARY, SIZE, Animation, encode_animation
from kit.hiding import among, hidings

BUDGETS = (8, 16, 32)
MOST_LEFT = 0.2
"""Largest share of ordinary animations that may be left partial."""
PLACES = ("first", "second", "middle", "last")
IMAGES = Path(__file__).parents[1] / "service/clipwarden/demo/images"
MODEL = Preprocessing(side=96, resample="bilinear", fit="pad", colour="srgb", pad_rgb=(255, 255, 255))
ROUNDS = 5
TIMED = ("cursor", "fast pan", "water", "two takes")
"""A GIF of 300 frames that hardly differ, a WebP of 120 that do; an APNG and an AVIF."""

Pixels = NDArray[np.uint8]


def run(names: Sequence[str] = TIMED, rounds: int = ROUNDS) -> list[Ratio]:
    """Time reading and choosing against reading every frame by Pillow and making it small.

    Args:
        names: Of ordinary animations.
        rounds: How often each is timed.
    """
    return [_ratio(animation, rounds) for animation in ORDINARY if animation.name in names]


def _ratio(animation: Animation, rounds: int) -> Ratio:
    data = animation.encoded()
    works: dict[str, Callable[[], object]] = {"ours": partial(_looked, data, 16), "plain": partial(_plain, data)}
    timings = time_together(works, rounds=rounds)
    name = f"{animation.format} of {animation.count} frames ({animation.name})"
    return Ratio(name=f"{name}: read and chosen / read by Pillow", cost=timings["ours"], reference=timings["plain"])


def _plain(data: bytes) -> None:
    opened = Image.open(io.BytesIO(data))
    for index in range(getattr(opened, "n_frames", 1)):
        opened.seek(index)
        fit_to_side(opened.convert("RGB"), MODEL)


def _looked(data: bytes, frames: int, views: Views = Views.WHOLE) -> DecodedImage:
    return decode_image(data, preprocessing=MODEL, plan=ViewPlan(views=views, frames=frames))


class _Judge:
    """The shipped policy, on the embedded model."""

    def __init__(self) -> None:
        self._selection: Selection = load_snapshot(EMBEDDED_MODEL).select()
        self.views = self._selection.plan.views

    def look(self, data: bytes, frames: int) -> DecodedImage:
        """Look at an animation as the policy does, but at so many frames."""
        return _looked(data, frames, self.views)

    def __call__(self, image: DecodedImage) -> Judgement:
        views = tuple(ViewRef(name=view.name, frame=view.frame, seconds=view.seconds) for view in image.views)
        return self._judged(image.pixels, views, partial=image.facts.partial)

    def verdicts(self, pictures: Sequence[Pixels]) -> list[Verdict]:
        """Judge pictures of the model's size each for itself."""
        return [self._judged(each[np.newaxis], (ViewRef(name="full"),)).verdict for each in pictures]

    def _judged(self, pixels: Pixels, views: tuple[ViewRef, ...], *, partial: bool = False) -> Judgement:
        model, tables = self._selection.snapshot.model, self._selection.tables
        vectors = np.concatenate([model.image.encode(pixels[at : at + 16]) for at in range(0, len(pixels), 16)])
        found = cosines(vectors, tables.compiled)
        return judge(found, views, tables, context=None, partial=partial, degraded=False)


class Base(NamedTuple):
    """A harmless picture, and where on it something may be hidden: (left, top, side)."""

    pixels: Pixels
    place: tuple[int, int, int]


def _bad_frame() -> Image.Image:
    frame = Image.new("RGB", SIZE, "white")
    frame.paste(Image.open(IMAGES / "beer-mug.png").convert("RGB").resize((130, 130)), (55, 2))
    return frame


def main() -> None:
    """Print Markdown tables."""
    for name, value in describe_machine().items():
        print(f"{name}: {value}")
    judged = _Judge()
    for views in (Views.WHOLE, Views.AUTO):
        _print_ordinary(views)
    _print_found(judged)
    _print_hidden(judged)
    _print_below(judged)


def _print_ordinary(views: Views) -> None:
    print(f"\n{views.value}:\n")
    print("| ordinary animation | frames | " + " | ".join(f"judged, seen of {most}" for most in BUDGETS) + " |")
    print("|---|---" + "|---" * len(BUDGETS) + "|")
    left: Counter[int] = Counter()
    for animation in ORDINARY:
        facts = {most: _looked(animation.encoded(), most, views).facts for most in BUDGETS}
        left.update(most for most, each in facts.items() if each.partial)
        cells = [f"{each.frames_judged}, {each.frames_seen}" for each in facts.values()]
        total = facts[BUDGETS[0]].frames_total
        print(f"| {animation.name} ({animation.format}) | {total} | " + " | ".join(cells) + " |")
    shares = ", ".join(f"{most}: {left[most]} of {len(ORDINARY)}" for most in BUDGETS)
    print(f"\nleft partial, by most frames: {shares} (bar: {MOST_LEFT:.0%})")


def _print_found(judged: _Judge) -> None:
    print("\none bad frame in each ordinary animation that is not stopped without it:\n")
    print("| most frames | " + " | ".join(PLACES) + " | allowed without a flag |")
    print("|---" * (len(PLACES) + 2) + "|")
    innocent = [each for each in ORDINARY if judged(judged.look(each.encoded(), 16)).verdict < Verdict.BLOCK]
    for most in BUDGETS:
        found, silent = Counter[str](), 0
        for animation in innocent:
            for place, data in _with_bad(animation):
                verdict = judged(judged.look(data, most)).verdict
                found[place] += verdict is Verdict.BLOCK
                silent += verdict is Verdict.ALLOW
        cells = [f"{found[place]} of {len(innocent)}" for place in PLACES]
        print(f"| {most} | " + " | ".join(cells) + f" | {silent} |")


def _with_bad(animation: Animation) -> Iterator[tuple[str, bytes]]:
    frames = animation.frames()
    for place, at in zip(PLACES, (0, 1, len(frames) // 2, len(frames)), strict=True):
        changed = among(frames, _bad_frame(), at)
        yield place, encode_animation(changed, animation.format, milliseconds=20, **animation.options)


def _print_hidden(judged: _Judge) -> None:
    print("\n| hidden | frames | " + " | ".join(f"by {most}" for most in BUDGETS) + " |")
    print("|---|---" + "|---" * len(BUDGETS) + "|")
    for name, data in hidings(_bad_frame()).items():
        images = [judged.look(data, most) for most in BUDGETS]
        cells = [_in_short(judged(image), image) for image in images]
        print(f"| {name} | {images[0].facts.frames_total} | " + " | ".join(cells) + " |")


def _in_short(judgement: Judgement, image: DecodedImage) -> str:
    views = {each.scored.view.frame for each in judgement.categories if each.id in judgement.decided_by and each.scored}
    where = f" by frame {min(views)}" if views else ""
    return f"{judgement.verdict.name}{where}{', partial' if image.facts.partial else ''}"


def _print_below(judged: _Judge) -> None:
    """Print what the distance lets pass: a drawing faded in, or made small, just so far that it counts as seen."""
    drawings = [_fitted(path) for path in sorted(IMAGES.glob("*.png"))]
    verdicts = judged.verdicts(drawings)
    bad = [each for each, verdict in zip(drawings, verdicts, strict=True) if verdict is Verdict.BLOCK]
    harmless = drawings[verdicts.index(Verdict.ALLOW)]
    print(
        f"\n{len(bad)} drawings that are blocked, on harmless frames, as strong and as large as still counts as seen:\n"
    )
    print("| frame | contrast | blocked | pixels a side, of 96 | blocked |\n|---|---|---|---|---|")
    for name, base in _bases(harmless).items():
        faint = [strongest(base, each) for each in bad]
        small = [largest(base, each) for each in bad]
        blocked = [
            sum(verdict is Verdict.BLOCK for verdict in judged.verdicts([pixels for pixels, _ in made]))
            for made in (faint, small)
        ]
        contrast, side = (float(np.median([how for _, how in made])) for made in (faint, small))
        print(f"| {name} | {contrast:.0%} | {blocked[0]} | {side:.0f} | {blocked[1]} |")


def _fitted(path: Path) -> Pixels:
    opened = Image.open(path).convert("RGBA")
    page = Image.new("RGBA", opened.size, "white")
    page.alpha_composite(opened)
    return fit_to_side(page.convert("RGB"), MODEL)


def _bases(harmless: Pixels) -> Mapping[str, Base]:
    white = np.full((MODEL.side, MODEL.side, 3), 255, np.uint8)
    boxed, captioned = white.copy(), white.copy()
    boxed[:24] = boxed[-24:] = 0
    captioned[4:16, 4:90:6] = captioned[4:16, 6:90:6] = 0
    everywhere = (0, 0, MODEL.side)
    scene = fit_to_side(next(each for each in ORDINARY if each.name == "slideshow").draw(0), MODEL)
    return {
        "blank": Base(white, everywhere),
        "grey": Base(white // 2, everywhere),
        "scene": Base(scene, everywhere),
        "another drawing": Base(harmless, everywhere),
        "between black bars": Base(boxed, (24, 24, 48)),
        "under a caption": Base(captioned, (10, 18, 76)),
    }


def strongest(base: Base, bad: Pixels) -> tuple[Pixels, float]:
    """Fade a picture into a base as far as counts as seen where the base was judged; return it and its share.

    Args:
        base: Harmless.
        bad: uint8 [S,S,3].
    """
    left, top, side = base.place
    whole = base.pixels.copy()
    whole[top : top + side, left : left + side] = _sized(bad, side)
    made = [_blend(base.pixels, whole, share / 100) for share in range(101)]
    near = [share for share, pixels in enumerate(made) if _near(base.pixels, pixels)]
    return made[max(near)], max(near) / 100


def largest(base: Base, bad: Pixels) -> tuple[Pixels, float]:
    """Put a picture into a base as large as counts as seen where the base was judged; return it and its side.

    Args:
        base: Harmless.
        bad: uint8 [S,S,3].
    """
    best = base.pixels, 0
    for side in range(2, 32, 2):
        pixels = base.pixels.copy()
        pixels[-side - 4 : -4, -side - 4 : -4] = _sized(bad, side)
        if _near(base.pixels, pixels):
            best = pixels, side
    return best


def _sized(pixels: Pixels, side: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def _blend(one: Pixels, other: Pixels, share: float) -> Pixels:
    return (one + share * (other.astype(np.float32) - one)).round().astype(np.uint8)


def _near(one: Pixels, other: Pixels) -> bool:
    return is_near(seen(one[np.newaxis]), seen(other[np.newaxis]))


if __name__ == "__main__":
    main()
