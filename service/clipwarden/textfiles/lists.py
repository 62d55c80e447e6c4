"""What was written where a list belongs in; the list that was meant out."""

from collections.abc import Sequence

from clipwarden.textfiles.braces import is_empty
from clipwarden.textfiles.meant import in_brackets, meant_texts
from clipwarden.textfiles.tree import MapNode, Node, TextNode

_MOST_SHOWN = 4
"""Items of the file's own that a message repeats."""
_LONGEST_SHOWN = 80
"""Characters of each."""


def meant_row(node: Node, example: str) -> str | None:
    """Return the list in brackets that was meant, in the author's words.

    Args:
        node: What stands there.
        example: A right list; nothing is guessed but lists of texts.

    Returns:
        The list; None where nobody can know.
    """
    if not example.startswith('["'):
        return None
    if isinstance(node, TextNode):
        is_row = node.plain or node.text.startswith(("[", "("))
        return meant_texts(node.text) if is_row else in_brackets([node.text])
    if isinstance(node, MapNode) and node.entries and all(is_empty(value) for _, value in node.entries):
        return in_brackets(key.text for key, _ in node.entries)
    return None


def meant_items(node: Node, example: str) -> str | None:
    """Return the mend of items whose dashes are missing, in the author's words; None where nobody can know."""
    if isinstance(node, TextNode) and node.rows and example.startswith('["'):
        return f"Write {dashed(node.rows)}, each on a line of its own."
    if isinstance(node, MapNode) and node.entries and node.entries[0][0].text in example:
        key, value = node.entries[0]
        return (
            f"Begin its first line with a dash: `- {key.text}: {value.text if isinstance(value, TextNode) else '...'}`."
        )
    return None


def dashed(texts: Sequence[str]) -> str:
    """Return the first of several texts, each behind a dash."""
    return " and ".join(f"`- {text[:_LONGEST_SHOWN]}`" for text in texts[:_MOST_SHOWN])
