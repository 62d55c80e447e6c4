"""What looking at all of a picture costs over looking at the whole once: by view plan and proportions, and on a mix.

Bytes to embeddings, one picture after another on one core, with the embedded model, whose encoder is as cheap as
decoding; and decoding alone at a side of 224, as of models whose encoder costs views and little else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

from bench.measure import Ratio, time_together
from bench.photos import jpeg
from clipwarden.modelfolder.load import Model, embedded_model_path, load_model
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.vision.decode import decode_image
from clipwarden.vision.plan import ViewPlan, Views

ROUNDS = 9
SIZES = {
    "1:1": (1080, 1080),
    "4:3": (1600, 1200),
    "3:2": (1500, 1000),
    "16:9": (1920, 1080),
    "9:20": (1080, 2400),
    "1:3": (600, 1800),
    "1:20": (800, 16_000),
}
"""Of pictures as they are uploaded, (width, height) in pixels, by proportions."""
MIX = {"1:1": 4, "4:3": 6, "3:2": 2, "16:9": 4, "9:20": 3, "1:3": 1}
"""How many of each are in the mix, of 20: photographs, squares, screenshots and a strip. A guess, and stated as one."""
DECODING = Preprocessing(side=224, colour="srgb")


def run(sizes: Mapping[str, tuple[int, int]] = SIZES, rounds: int = ROUNDS) -> list[Ratio]:
    """Time the same files by each plan, in turns.

    Args:
        sizes: Of the pictures, (width, height) in pixels, by proportions.
        rounds: How often each is timed.

    Returns:
        Ratios for `auto` and `tiles` over `whole`: of each proportion and of the mix, embedded and only decoded.
    """
    model = load_model(embedded_model_path(), threads=1)
    mix = [name for name, count in MIX.items() for _ in range(count) if name in sizes]
    sets = {**{name: [name] for name in sizes}, f"mix of {len(mix)}": mix}
    return [
        ratio
        for name, names in sets.items()
        for ratio in (
            *_ratios(name, [sizes[each] for each in names], "bytes to embeddings", partial(embed, model), rounds),
            *_ratios(name, [sizes[each] for each in names], "decoding at 224", _decode, rounds),
        )
    ]


def embed(model: Model, data: bytes, plan: ViewPlan) -> int:
    """Embed a picture, and return how many views it has."""
    pixels = decode_image(data, preprocessing=model.manifest.image, plan=plan).pixels
    # One view a run, as an engine has it on CPUs.
    for row in pixels:
        model.image.encode(row[None])
    return len(pixels)


def _decode(data: bytes, plan: ViewPlan) -> int:
    return len(decode_image(data, preprocessing=DECODING, plan=plan).views)


def _ratios(
    name: str, sizes: Sequence[tuple[int, int]], what: str, work: Callable[[bytes, ViewPlan], int], rounds: int
) -> Iterator[Ratio]:
    files = [_file(size) for size in sizes]
    works = {views: partial(_each, work, files, ViewPlan(views=views)) for views in Views}
    timings = time_together({views.value: each for views, each in works.items()}, rounds=rounds)
    for views in (Views.AUTO, Views.TILES):
        a_picture = works[views]() / len(files)
        label = f"{name}: {what}, {views} with {a_picture:.3g} views a picture / whole"
        yield Ratio(name=label, cost=timings[views.value], reference=timings[Views.WHOLE.value])


def _each(work: Callable[[bytes, ViewPlan], int], files: Sequence[bytes], plan: ViewPlan) -> int:
    return sum(work(data, plan) for data in files)


@cache
def _file(size: tuple[int, int]) -> bytes:
    return jpeg(*size)
