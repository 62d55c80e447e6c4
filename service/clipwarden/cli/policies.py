"""clipwarden policies: the policies that ship with clipwarden and the schema of all, to look at and to start from."""

import json
import sys
from typing import Annotated

import typer

from clipwarden.errors import ConfigError
from clipwarden.policy.shipped import shipped_policies
from clipwarden.terminal import printable, stdout


def policies(
    name: Annotated[str | None, typer.Argument(help="Print this policy's file.", show_default=False)] = None,
    *,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of policy files, for editors.")
    ] = False,
) -> None:
    """List the policies that ship with clipwarden, or print one to start your own from.

    With --schema, print the JSON Schema by which editors complete and check policy files while you type.

    **Examples**

    - `clipwarden policies`

    - `clipwarden policies default > mine.yaml`

    - `clipwarden policies --schema > policy.schema.json`
    """
    if name is not None and schema:
        raise ConfigError("--schema is about every policy: name none.")
    if schema:
        _print_schema()
    elif name is None:
        _list_shipped()
    else:
        _print(name)


def _print(name: str) -> None:
    from clipwarden.engine.snapshot import find_policy

    sys.stdout.write(find_policy(name).read_text(encoding="utf-8"))


def _print_schema() -> None:
    from clipwarden.policy.language.editor_schema import policy_schema

    print(json.dumps(policy_schema(), indent=2))  # noqa: T201  results go to stdout


def _list_shipped() -> None:
    from clipwarden.cli.table import new_table
    from clipwarden.policy.contexts import modes_line
    from clipwarden.policy.language.load import load_policy

    table = new_table("Policy", "Version", "Categories", "Bound to model", "File", unbroken=("Policy",))
    for path in shipped_policies():
        policy = load_policy(path).policy
        bound = (policy.model.fingerprint or "any")[:23]
        table.add_row(
            policy.metadata.id, policy.metadata.version or "", modes_line(policy), bound, printable(str(path))
        )
    stdout().print(table)
