"""A colour space in, how long converting a pixel of it takes out, by the shape of its stages alone.

Figures are nanoseconds a pixel of numpy on one 3 GHz core, rounded, of random pixels and the worst curves found; they
are added up and not timed, so that whether a file is refused does not hang on how busy a machine is.
"""

from clipwarden.vision.colour.curves import ParametricCurve
from clipwarden.vision.colour.luts import LutSpace
from clipwarden.vision.colour.spaces import MatrixSpace

# Measured: 14 to 31, and 26 to 49 of 16 bits; littleCMS 30.
_MATRIX, _WIDE_MATRIX = 35.0, 50.0
# Measured with 2 to 33 nodes a side: 56, 88 and 122 for 1, 3 and 4 channels, whose cells have 2, 8 and 16 corners.
_TABLE, _CORNER = 45.0, 6.0
# Nodes beyond a core's own cache, and beyond what it shares: 25 nodes for each of 4 inks take 181, 43 take 254 to 292.
_FAR_NODES = ((4 * 2**20, 10.0), (2**20, 4.0))
# Each curve that is a formula, where it is not looked up (those in front of 8 bits are): 10 to 20.
_FORMULA, _WIDE_INPUT = 15.0, 5.0


def nanoseconds_a_pixel(space: MatrixSpace | LutSpace, *, wide: bool = False) -> float:
    """Estimate what converting takes at full size.

    Args:
        space: The pixels'.
        wide: Whether they have 16 bits a channel.

    Returns:
        Nanoseconds a pixel; within a third of what was measured.
    """
    if isinstance(space, MatrixSpace):
        return _WIDE_MATRIX if wide else _MATRIX
    corner = _CORNER + next((more for most, more in _FAR_NODES if space.nodes.nbytes > most), 0.0)
    computed = (*(space.middle or ()), *space.outputs, *(space.inputs if wide else ()))
    formulas = sum(isinstance(curve, ParametricCurve) for curve in computed)
    return (
        _TABLE
        + (corner * 2 ** len(space.inputs) if space.inputs else 0.0)
        + _FORMULA * formulas
        + (_WIDE_INPUT * len(space.inputs) if wide else 0.0)
    )
