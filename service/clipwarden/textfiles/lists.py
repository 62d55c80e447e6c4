"""What was written where a list belongs in; the list that was meant out."""

from collections.abc import Sequence

from clipwarden.textfiles.braces import is_empty
from clipwarden.textfiles.linemends import BULLETS
from clipwarden.textfiles.meant import in_brackets, meant_texts
from clipwarden.textfiles.spots import LONGEST_SHOWN
from clipwarden.textfiles.tree import ListNode, MapNode, Node, TextNode

_MOST_SHOWN = 4
"""Items of the file's own that a message repeats."""


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
    if isinstance(node, TextNode) and len(node.text) > LONGEST_SHOWN:
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
        said = dashed(node.rows)
        return f"{said[0].upper()}{said[1:]}, each on a line of its own."
    if isinstance(node, MapNode) and node.entries and node.entries[0][0].text in example:
        key, value = node.entries[0]
        line = f"- {key.text}:{f' {value.text}' if isinstance(value, TextNode) else ''}"
        return f"Begin its first line with a dash{f': `{line}`' if len(line) <= LONGEST_SHOWN else ''}."
    return None


def dashed(texts: Sequence[str]) -> str:
    """Say to write each of several texts behind a dash."""
    bare = [text.lstrip(f"-{BULLETS} ") for text in texts]
    if len(texts) > _MOST_SHOWN or sum(map(len, bare)) > LONGEST_SHOWN:
        return "write each of them behind a dash"
    return f"write {' and '.join(f'`- {text}`' for text in bare)}"


def all_items(name: str, entries: Sequence[tuple[TextNode, Node]]) -> ListNode:
    """Return the items of all lists of a name: a second one is likely to go on where the first ended."""
    lists = [node for key, node in entries if key.text == name and isinstance(node, ListNode)]
    items = tuple(item for each in lists for item in each.items)
    return ListNode(items=items, place=lists[0].place, dashed=lists[0].dashed)


def second_list(*, follows: bool) -> str:
    """Say what to do with a list of a name that another list has."""
    if follows:
        return "Make one list of the two; where each item has its dash, it is enough to delete this line."
    return "Move its items to the end of the first list, and delete this line."
