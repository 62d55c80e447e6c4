"""Find the policies that come with clipwarden, in a wheel or in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
# The wheel carries them inside the package; an editable install finds them at the root of the checkout.
_FOLDERS = (_PACKAGE / "policies", _PACKAGE.parent.parent / "policies")


def shipped_policy(name: str) -> Path:
    """Return where a shipped policy lies, whether or not there is one of that name.

    Args:
        name: Such as `default` or `stickers`, without folder and ending.

    Returns:
        The path of its YAML file.
    """
    candidates = [folder / f"{name}.yaml" for folder in _FOLDERS]
    return next((path for path in candidates if path.is_file()), candidates[0])


def shipped_policies() -> list[Path]:
    """Return all shipped policies, ordered by name."""
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    return sorted(folder.glob("*.yaml")) if folder else []
