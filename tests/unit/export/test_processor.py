import pytest

from clipwarden_export.errors import SourceError
from clipwarden_export.sources.processor import read_preprocessing

CLIP = {
    "size": {"shortest_edge": 224},
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "resample": 3,
    "rescale_factor": 1 / 255,
}
SIGLIP = {"size": {"height": 256, "width": 256}, "resample": 2, "do_center_crop": None, "crop_size": None}


def test_clip_crops() -> None:
    found = read_preprocessing(CLIP)
    assert (found.side, found.fit, found.resample) == (224, "crop", "bicubic")


def test_new_folders_show_the_colours_that_are_displayed() -> None:
    assert {read_preprocessing(settings).colour for settings in (CLIP, SIGLIP)} == {"srgb"}


def test_siglip_squashes() -> None:
    found = read_preprocessing(SIGLIP)
    assert (found.side, found.fit, found.resample) == (256, "squash", "bilinear")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": {"shortest_edge": 256}}, "resizes to .*256.* and crops to .*224"),
        ({"size": {"longest_edge": 224}}, "a model folder resizes the short side"),
        ({"do_center_crop": False}, "crops to nothing"),
        ({"do_normalize": False}, "do_normalize: false"),
        ({"rescale_factor": 1.0}, "rescales by 1.0"),
        ({"resample": 0}, "Pillow filter 0"),
    ],
)
def test_what_a_model_folder_cannot_express_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        read_preprocessing(CLIP | change)
