"""S x S pixels in, flags out that say the picture is too blank, blurred or noisy for a verdict to mean much."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Flag = Literal["NEAR_UNIFORM", "BLURRED", "NOISY", "TINY"]

# Half the smallest input side of published CLIP-like encoders, 64 pixels: the model would see mostly interpolation.
TINY_SIDE = 32
# The next three are measured at S = 96 and 224 on 6,000 rendered icons and emoji (on white and on black, those that
# show) and 26 photographs and scans of scikit-image's data folder.
# Least deviation found: 7.1 (an icon of thin pale strokes), 9.9 (a photograph). A blank page as JPEG: below 1.
NEAR_UNIFORM_MAX_DEVIATION = 2.5
# Least slope found: 23 (both kinds), 6.8 (a colour wheel without edges). Photographs under a Gaussian blur of
# S/20: 5.6 and 6.3; of S/16: 4.5 and 5.2.
BLURRED_MAX_SLOPE = 6.0
# Most noise found: 1.8 (drawings), 12 (gravel), 18 (a QR code at 1.7 pixels a module). Photographs under added noise
# of deviation 40: 23; of 60: 32; pure noise: 50.
NOISY_MIN_DEVIATION = 25.0

_CONTENT: tuple[Flag, ...] = ("NEAR_UNIFORM", "BLURRED", "NOISY")
_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
# Of any Gaussian's magnitudes; and how the mask of `noise_deviation` responds to unit noise.
_MEDIAN_OF_NORMAL, _MASK_DEVIATION = 0.6745, 6
# Luminance as integers is in eighths of a level: the mask's response, up to 8 x 255 levels, fits into 16 bits.
_EIGHTHS, _MOST_CONTRAST = 8, 255
_WEIGHTS_IN_EIGHTHS = _WEIGHTS * _EIGHTHS


def degraded_flags(views: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> tuple[Flag, ...]:
    """Flag a picture whose verdict would mean little.

    Conservative: a flag sends an enforced picture to review, so flat drawings and plain photos must pass. A flag
    about content needs every view to have it: a white drawing is blank on white and plain to see on black.

    Args:
        views: uint8 [S,S,3] each, of one picture.
        size: (width, height) as displayed, in pixels.

    Returns:
        Flags in a fixed order.
    """
    in_doubt = frozenset(_CONTENT)
    for pixels in views:
        in_doubt -= _ruled_out(pixels) if in_doubt else in_doubt
    found = _found_by_tests(views, in_doubt) if in_doubt else ()
    return (*found, "TINY") if min(size) < TINY_SIDE else found


def _found_by_tests(views: Sequence[NDArray[np.uint8]], in_doubt: frozenset[Flag]) -> tuple[Flag, ...]:
    planes = [_luminance(pixels) for pixels in views]
    tests: tuple[tuple[Flag, Callable[[], bool]], ...] = (
        ("NEAR_UNIFORM", lambda: all(is_near_uniform(pixels) for pixels in views)),
        ("BLURRED", lambda: all(is_blurred(plane) for plane in planes)),
        ("NOISY", lambda: all(is_noisy(plane) for plane in planes)),
    )
    return tuple(flag for flag, applies in tests if flag in in_doubt and applies())


def _ruled_out(pixels: NDArray[np.uint8]) -> frozenset[Flag]:
    """Say which flags a picture surely does not have, in a few passes where the tests take dozens.

    Most pictures have none of them by far. Only the middle rows are looked at; bounds take the others for whatever
    would be flagged, and leave room for what rounding down to an eighth of a level moves.
    """
    side = len(pixels)
    levels = (pixels[side * 3 // 16 : -(-side * 13 // 16)] @ _WEIGHTS_IN_EIGHTHS).ravel()  # float32 [R*S]
    # Rows that follow each other: a difference down a column is one of elements a row apart, [R*S] to [(R-1)*S].
    flat = levels.astype(np.int16)
    down = flat[side:] - flat[:-side]
    second = down[side:] - down[:-side]
    across = second[1:] - second[:-1]
    response = across[1:] - across[:-1]
    found: dict[Flag, bool] = {
        "NEAR_UNIFORM": _surely_deviates(levels, side),
        "BLURRED": _surely_has_edges(down, side),
        "NOISY": _surely_smooth(response, len(flat) // side, side),
    }
    return frozenset(flag for flag, absent in found.items() if absent)


def _surely_deviates(eighths: NDArray[np.float32], side: int) -> bool:
    """Whether some channel deviates by more than what is uniform.

    Luminance, a mean of the channels, deviates by no more than the one that deviates most; and squares of some rows
    about a mean of their own sum to no more than those of all rows about theirs.

    Args:
        eighths: Luminance [R*S].
        side: S.
    """
    # Every fourth row. Not by `values @ values`, which BLAS takes to threads where it is long.
    values = eighths.reshape(-1, side)[::4].ravel()
    squares = float(np.add.reduce(values * values)) - float(np.add.reduce(values)) ** 2 / values.size
    # Sums in float32 are off by at most 5 millionths of 2040 squared a value; the 1 leaves room for ten times that.
    return squares > side**2 * (_EIGHTHS * NEAR_UNIFORM_MAX_DEVIATION + 1) ** 2


def _surely_has_edges(down: NDArray[np.int16], side: int) -> bool:
    """Whether edges are steep enough down the columns alone, and for the greatest contrast that there may be."""
    step = int(_EIGHTHS * BLURRED_MAX_SLOPE * _MOST_CONTRAST / side) + 2
    return int(np.count_nonzero(np.abs(down) > step)) >= _steepest(2 * side * (side - 1))


def _surely_smooth(response: NDArray[np.int16], rows: int, side: int) -> bool:
    """Whether more than half of all pixels differ from their neighbours by less than noise does.

    Args:
        response: Of the mask of `noise_deviation`, at every place of it, and at some that reach around the sides.
        rows: R, that were looked at.
        side: S.
    """
    # The mask's weights sum to 8 on either side of zero.
    most = int(_EIGHTHS * NOISY_MIN_DEVIATION * _MEDIAN_OF_NORMAL * _MASK_DEVIATION) - 8 - 1
    seen, every = max(0, rows - 2) * max(0, side - 2), max(0, side - 2) ** 2
    return seen - int(np.count_nonzero(np.abs(response) > most)) > every // 2


def is_near_uniform(pixels: NDArray[np.uint8]) -> bool:
    """Tell whether no channel's standard deviation exceeds `NEAR_UNIFORM_MAX_DEVIATION`."""
    return bool(channel_deviation(pixels) <= NEAR_UNIFORM_MAX_DEVIATION)


def is_blurred(plane: NDArray[np.float32]) -> bool:
    """Tell whether even the steepest edge is a slow ramp."""
    return edge_slope(plane) < BLURRED_MAX_SLOPE


def is_noisy(plane: NDArray[np.float32]) -> bool:
    """Tell whether most pixels differ from their neighbours as noise does."""
    return noise_deviation(plane) > NOISY_MIN_DEVIATION


def channel_deviation(pixels: NDArray[np.uint8]) -> float:
    """Return the largest standard deviation of a channel, in 8-bit levels."""
    values = pixels.astype(np.float32)
    ones = np.ones(values.shape[1], dtype=np.float32)
    # [S,S,3] -> [S,3] -> [3]. Row sums as products, since `std` strides over channels (2.3 ms at S = 224);
    # up to S = 258 a row's squares sum below 2^24, where float32 is exact, and the rest is float64.
    mean = (ones @ values).mean(axis=0, dtype=np.float64) / len(ones)
    mean_square = (ones @ (values * values)).mean(axis=0, dtype=np.float64) / len(ones)
    variance = mean_square - mean**2
    return float(np.sqrt(max(0.0, float(variance.max()))))


def edge_slope(plane: NDArray[np.float32]) -> float:
    """Measure the steepest edges, in full contrasts a picture width.

    A step blurred by a Gaussian of deviation sigma has the slope S / (2.5 sigma), whatever its contrast.

    Args:
        plane: Luminance float32 [S,S].

    Returns:
        The 99.9th percentile of neighbour differences, over the contrast, times S; infinite without contrast.
    """
    contrast = float(plane.max() - plane.min())
    if contrast == 0:
        return float("inf")
    steps = np.concatenate([np.abs(np.diff(plane, axis=axis)).ravel() for axis in (0, 1)])
    rank = _steepest(steps.size)
    return float(np.partition(steps, -rank)[-rank]) / contrast * len(plane)


def _steepest(steps: int) -> int:
    """How many steps are as steep as the 99.9th percentile."""
    return max(1, steps // 1000)


def noise_deviation(plane: NDArray[np.float32]) -> float:
    """Estimate the standard deviation of additive noise, in 8-bit levels.

    Args:
        plane: Luminance float32 [S,S].

    Returns:
        The deviation; near 0 for drawings, whose flat areas outweigh their edges.

    Source: J. Immerkaer, "Fast Noise Variance Estimation", CVIU 64(2), 1996: a mask blind to ramps, whose response to
    unit noise has deviation 6. Its mean is replaced by the median (over 0.6745, as for any Gaussian), so that edges
    do not count as noise.
    """
    horizontal = plane[:, :-2] - 2 * plane[:, 1:-1] + plane[:, 2:]
    response = horizontal[:-2] - 2 * horizontal[1:-1] + horizontal[2:]
    magnitudes = np.abs(response).ravel()
    middle = magnitudes.size // 2
    return (
        float(np.partition(magnitudes, middle)[middle]) / _MEDIAN_OF_NORMAL / _MASK_DEVIATION
        if magnitudes.size
        else 0.0
    )


def _luminance(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[S,S,3] -> [S,S], ITU-R BT.601 weights."""
    return pixels.astype(np.float32) @ _WEIGHTS
