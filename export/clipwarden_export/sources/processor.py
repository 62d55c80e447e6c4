"""An image processor's settings in, a model folder's Preprocessing out, or SourceError saying what has no equal."""

from collections.abc import Mapping
from typing import Any

from clipwarden.modelfolder.manifest import COLOUR, Fit, Preprocessing, Resample
from clipwarden_export.errors import SourceError

# Pillow's numbers, as preprocessor_config.json stores them.
_RESAMPLE: dict[int, Resample] = {1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}
_MUST = ("do_resize", "do_rescale", "do_normalize")
_RESCALE = 1 / 255
_RESCALE_SLACK = 1e-9


def read_preprocessing(settings: Mapping[str, Any]) -> Preprocessing:
    """Translate transformers' image processor settings.

    Args:
        settings: As in preprocessor_config.json.

    Returns:
        Side, filter and fit, and displayed colours; mean and standard deviation go into the graph instead.

    Raises:
        SourceError: A step that a model folder cannot express.
    """
    for key in _MUST:
        if not settings.get(key, True):
            msg = f"The image processor has {key}: false; a model folder always resizes, rescales and normalises."
            raise SourceError(msg)
    if abs(settings.get("rescale_factor", _RESCALE) - _RESCALE) > _RESCALE_SLACK:
        msg = f"The image processor rescales by {settings['rescale_factor']}; a model folder knows only 1/255."
        raise SourceError(msg)
    side, fit = _side_and_fit(settings)
    return Preprocessing(side=side, resample=_filter(settings.get("resample", 3)), fit=fit, colour=COLOUR)


def _filter(number: object) -> Resample:
    if not isinstance(number, int) or int(number) not in _RESAMPLE:
        msg = f"The image processor resizes with Pillow filter {number}; a model folder knows {sorted(_RESAMPLE)}."
        raise SourceError(msg)
    return _RESAMPLE[int(number)]


def _side_and_fit(settings: Mapping[str, Any]) -> tuple[int, Fit]:
    size, crop = settings["size"], settings.get("crop_size")
    crops = bool(settings.get("do_center_crop", False))
    shortest = size.get("shortest_edge")
    if crops and crop is not None and shortest is not None and crop["height"] == crop["width"] == shortest:
        return int(shortest), "crop"
    square = size.get("height")
    if square is not None and square == size.get("width") and (not crops or crop == size):
        return int(square), "squash"
    msg = (
        f"The image processor resizes to {dict(size)} and crops to {dict(crop) if crops and crop else 'nothing'}; "
        "a model folder resizes the short side to S and crops S x S, or squashes to S x S."
    )
    raise SourceError(msg)
