"""The fixed neutral texts whose vectors every model folder carries: the background B of a policy's margins."""

from importlib.resources import files

# Everyday things of many kinds, none of them near a moderation category. Changing one line changes the fingerprint of
# every model exported afterwards, so policies would have to be fitted again: treat the file as frozen.
_FILE = "background.txt"


def background_texts() -> tuple[str, ...]:
    """Read the background texts.

    Returns:
        300 distinct texts, in the order of the rows of `background.safetensors`.
    """
    return tuple(files("clipwarden_export.verification").joinpath(_FILE).read_text(encoding="utf-8").split("\n")[:-1])
