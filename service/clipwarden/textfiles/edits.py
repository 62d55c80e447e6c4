"""A line as it stands and as it was meant in; what to say about the difference out."""

from clipwarden.textfiles.spots import LONGEST_SHOWN, Mend, indent_of, pasteable

_LONGEST_EDIT = 60
"""Characters to put into a line, or to take out, that a message tells apart from the line."""


def fix_of(old: str, new: str, size: int = 1, index: int = 0) -> str:
    """Say what to write in place of a line.

    Args:
        old: As it stands.
        new: As it was meant.
        size: How many lines the mend has, this being the first.
        index: Of the line, from 0.
    """
    if new.strip() != old.strip() or new == old:
        return f"Write {pasteable(new.strip(), _edit(old, new))}{', and the lines below likewise' if size > 1 else ''}."
    spaces = f"{indent_of(new) or 'no'} space{'' if indent_of(new) == 1 else 's'}"
    begin = f"with {spaces}{f': `{new.strip()}`' if len(new.strip()) <= LONGEST_SHOWN else ''}."
    if size > 1:
        return f"Move lines {index + 1} to {index + size} so that the first of them begins {begin}"
    return f"Begin the line {begin}"


def split_fix(mend: Mend) -> str:
    """Say what to write in place of a line that was to be several."""
    if sum(map(len, mend)) > LONGEST_SHOWN:
        return "Put each text on a line of its own, behind a dash."
    return f"Write {' and '.join(f'`{line.strip()}`' for line in mend)}, each on a line of its own."


def column_of(old: str, new: str) -> int:
    """Return where two lines first differ, from 0."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (was, becomes) in pairs if was != becomes), min(len(old), len(new)))


def _edit(old: str, new: str) -> str:
    """Say what to change in a line that is too long to be shown, as the rest of a sentence that begins with `Write`."""
    start = column_of(old, new)
    most = min(len(old), len(new)) - start
    same = next((count for count in range(most) if old[-1 - count] != new[-1 - count]), most)
    typed, meant = old[start : len(old) - same], new[start : len(new) - same]
    at = f"at column {start + 1} of this line"
    if max(len(typed), len(meant)) > _LONGEST_EDIT:
        return f"this line anew from column {start + 1} on"
    if not typed:
        return f"{meant} {at}, before what stands there"
    return f"{meant} {at} in place of {typed}" if meant else f"nothing {at} in place of {typed}"
