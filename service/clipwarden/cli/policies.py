"""clipwarden policies: the policies that ship with clipwarden and the schema of all, to look at and to start from."""

import json
import sys
from collections import Counter

from clipwarden.cli.table import new_table
from clipwarden.engine.snapshot import find_policy
from clipwarden.policy.language.editor_schema import policy_schema
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.shipped import shipped_policies
from clipwarden.terminal import printable, stdout


def print_policy(name: str) -> None:
    """Print a policy's file as it is.

    Raises:
        ConfigError: There is no such policy.
    """
    sys.stdout.write(find_policy(name).read_text(encoding="utf-8"))


def print_schema() -> None:
    """Print the JSON Schema of policy files."""
    print(json.dumps(policy_schema(), indent=2))  # noqa: T201  results go to stdout


def list_policies() -> None:
    """List the policies that ship with clipwarden."""
    table = new_table("Policy", "Version", "Categories", "Bound to model", "File", unbroken=("Policy",))
    for path in shipped_policies():
        policy = load_policy(path).policy
        modes = Counter(category.mode for category in policy.categories)
        counts = ", ".join(f"{count} {mode.value}" for mode, count in modes.items())
        bound = (policy.model.fingerprint or "any")[:23]
        table.add_row(policy.metadata.id, policy.metadata.version or "", counts, bound, printable(str(path)))
    stdout().print(table)
