import pytest

from recipes.mini.names import is_interface_mark, squash, strip_style, strip_tone, to_words, tone_of


@pytest.mark.parametrize(
    ("icon_set", "icon", "bare"),
    [
        ("noto", "waving-hand-medium-dark-skin-tone", "waving-hand"),
        ("noto", "handshake-light-skin-tone-dark-skin-tone", "handshake"),
        ("fluent-emoji", "artist-dark", "artist"),
        ("fluent-emoji-flat", "artist-medium-light", "artist"),
        ("mdi", "lamp-dark", "lamp-dark"),
        ("emojione", "dark-skin-tone", "dark-skin-tone"),
    ],
)
def test_skin_tones_collapse_to_one_name(icon_set: str, icon: str, bare: str) -> None:
    assert strip_tone(icon_set, icon) == bare


@pytest.mark.parametrize(
    ("icon", "bare"),
    [
        ("sword-02-outline", "sword"),
        ("beer-filled", "beer"),
        ("die-2-bold", "die"),
        ("outline", "outline"),
        ("8-ball", "8-ball"),
    ],
)
def test_words_of_style_and_counters_go_but_something_stays(icon: str, bare: str) -> None:
    assert strip_style(icon) == bare


@pytest.mark.parametrize("icon", ["bell-off", "arrow-up", "alpha-a", "a-b", "123", "file-plus"])
def test_marks_of_an_interface_are_known(icon: str) -> None:
    assert is_interface_mark(icon)


@pytest.mark.parametrize("icon", ["beer-mug", "offering", "sword"])
def test_things_are_no_marks(icon: str) -> None:
    assert not is_interface_mark(icon)


def test_spellings_of_one_name_share_a_key() -> None:
    assert squash("Woman's hat") == squash("womans_hat") == squash("WOMANS-HAT") == "womanshat"
    assert to_words("flag: Andorra") == "flag andorra"


@pytest.mark.parametrize(
    ("icon", "tone"),
    [
        ("waving-hand", "none"),
        ("waving-hand-medium-dark-skin-tone", "medium-dark"),
        ("handshake-dark-skin-tone-dark-skin-tone", "dark"),
        ("handshake-light-skin-tone-dark-skin-tone", "mixed"),
    ],
)
def test_a_tone_is_read_off_a_name(icon: str, tone: str) -> None:
    assert tone_of(icon) == tone
