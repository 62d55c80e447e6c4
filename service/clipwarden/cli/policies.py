"""clipwarden policies: the policies that ship with clipwarden, to look at and to start from."""

import sys
from collections import Counter
from typing import Annotated

import typer

from clipwarden.policy.shipped import shipped_policies
from clipwarden.terminal import printable, stdout


def policies(
    name: Annotated[str | None, typer.Argument(help="Print this policy's file.", show_default=False)] = None,
) -> None:
    """List the policies that ship with clipwarden, or print one to start your own from.

    **Examples**

    - `clipwarden policies`

    - `clipwarden policies default > mine.yaml`
    """
    if name is None:
        _list_shipped()
    else:
        _print(name)


def _print(name: str) -> None:
    from clipwarden.engine.snapshot import find_policy

    sys.stdout.write(find_policy(name).read_text(encoding="utf-8"))


def _list_shipped() -> None:
    from clipwarden.cli.table import new_table
    from clipwarden.policy.language.load import load_policy

    table = new_table("Policy", "Version", "Categories", "Bound to model", "File", unbroken=("Policy",))
    for path in shipped_policies():
        policy = load_policy(path).policy
        modes = Counter(category.mode for category in policy.categories)
        counts = ", ".join(f"{count} {mode.value}" for mode, count in modes.items())
        bound = (policy.model.fingerprint or "any")[:23]
        table.add_row(policy.metadata.id, policy.metadata.version or "", counts, bound, printable(str(path)))
    stdout().print(table)
