"""clipwarden policies: the policies that ship with clipwarden and the schema of all, to look at and to start from."""

import json
import sys
from collections import Counter
from typing import Annotated

import typer

from clipwarden.errors import ConfigError, Severity
from clipwarden.policy.shipped import shipped_policies
from clipwarden.terminal import notice, printable, stdout


def policies(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[POLICY]", help="Print this one: a file, a bundle, or a shipped policy's name.", show_default=False
        ),
    ] = None,
    *,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of policy files, for editors.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a policy.")] = False,
) -> None:
    """List the policies that ship with clipwarden, or print one to start your own from.

    A file is printed as it is. Of a bundle its policy is printed as YAML, every default written out, with the digest,
    the model's fingerprint and whatever was learned in it as comments.

    With --schema, print the JSON Schema by which editors complete and check policy files while you type.

    **Examples**

    - `clipwarden policies`

    - `clipwarden policies default > mine.yaml`

    - `clipwarden policies mine.bundle`

    - `clipwarden policies --schema > policy.schema.json`

    **Exit codes**: 0 printed · 2 wrong usage · 3 the file is no policy that can be used.
    """
    if schema and (name is not None or as_json):
        raise ConfigError("--schema is about every policy, and JSON already: name none, and leave --json out.")
    if schema:
        _print_schema()
    elif name is None:
        _list_shipped(as_json=as_json)
    else:
        _print(name, as_json=as_json)


def _print(name: str, *, as_json: bool) -> None:
    from clipwarden.cli.bundletext import bundle_text, learned_facts
    from clipwarden.cli.policyfile import read_policy
    from clipwarden.policy.language.dump import policy_document

    read = read_policy(name)
    if read.bundle and any(problem.severity is Severity.ERROR for problem in read.warnings):
        notice("Servers refuse this bundle, since it enforces numbers that do not hold: `clipwarden lint` says which.")
    if as_json:
        record = {**read.facts, "learned": learned_facts(read.policy), "policy": policy_document(read.policy)}
        print(json.dumps(record))  # noqa: T201  results go to stdout
    elif read.bundle:
        sys.stdout.write(bundle_text(read.bundle))
    else:
        sys.stdout.write(read.path.read_text(encoding="utf-8"))


def _print_schema() -> None:
    from clipwarden.policy.language.editor_schema import policy_schema

    print(json.dumps(policy_schema(), indent=2))  # noqa: T201  results go to stdout


def _list_shipped(*, as_json: bool) -> None:
    from clipwarden.cli.policyfile import read_policy
    from clipwarden.cli.table import new_table
    from clipwarden.policy.contexts import modes_line

    table = new_table("Policy", "Version", "Categories", "Bound to model", "File", unbroken=("Policy",))
    for path in shipped_policies():
        read = read_policy(str(path))
        if as_json:
            modes = Counter(category.mode.value for category in read.policy.categories)
            print(json.dumps({**read.facts, "categories": modes}))  # noqa: T201  results go to stdout
            continue
        metadata, bound = read.policy.metadata, (read.fingerprint or "any")[:23]
        row = (metadata.id, metadata.version or "", modes_line(read.policy), bound, printable(str(path)))
        table.add_row(*row)
    if not as_json:
        stdout().print(table)
