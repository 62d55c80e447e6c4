"""A policy file's text in, a frozen Policy out, or PolicyError with every problem's line, column and mend."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from clipwarden.errors import PolicyError, Problem
from clipwarden.policy.language.breadth import check_breadth
from clipwarden.policy.language.category_keys import MAX_CONTEXTS
from clipwarden.policy.language.concept_keys import NAME
from clipwarden.policy.language.concepts import ConceptReader
from clipwarden.policy.language.keys import CONTEXT, POLICY, Defaults
from clipwarden.policy.language.learned import LearnedSource, NoFolder, PolicyFolder
from clipwarden.policy.language.looking import check_looking
from clipwarden.policy.language.maps import MapReader
from clipwarden.policy.language.rules import check_rules
from clipwarden.policy.language.subjects import check_subjects
from clipwarden.policy.language.tables import chains
from clipwarden.policy.schema import SCHEMA_VERSION, Context, ModelBinding, Policy
from clipwarden.textfiles.findings import Findings, Place, Positions
from clipwarden.textfiles.reading import read_file
from clipwarden.textfiles.traps import text_trap
from clipwarden.textfiles.tree import Node, TextNode, parse_tree
from clipwarden.textfiles.values import Value

_KEYS = frozenset(key.name for chain in chains(POLICY) for key in chain)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedPolicy:
    """A policy that may be used, and what to tell its author.

    Attributes:
        policy: The parsed policy.
        warnings: What deserves a look but does not stop the policy, in file order.
        positions: Where each value was written, for checks that need a model (`lint.lint_with_model`).
    """

    policy: Policy
    warnings: tuple[Problem, ...]
    positions: Positions


def load_policy(path: Path | str, *, today: date | None = None) -> LoadedPolicy:
    """Read and check a policy file, and the files of learned vectors and heads that it names.

    Args:
        path: The file; problems repeat it as given. Files that it names are looked for in its folder.
        today: The day that `review_by` is compared with; today (UTC) if None.

    Returns:
        The policy and its warnings.

    Raises:
        PolicyError: Unreadable, not YAML, or against any rule; lists every problem, warnings too.
    """
    findings = Findings(str(path))
    text = read_file(Path(path), findings)
    if text is None:
        raise PolicyError(findings.problems)
    return _parse(text, findings, today, PolicyFolder(Path(path).parent))


def parse_policy(
    text: str, *, file: str = "<policy>", today: date | None = None, learned: LearnedSource | None = None
) -> LoadedPolicy:
    """Check the text of a policy file.

    Args:
        text: YAML, or JSON, which YAML includes.
        file: Name that problems repeat.
        today: The day that `review_by` is compared with; today (UTC) if None.
        learned: Where learned vectors and heads are found; None refuses them.

    Returns:
        The policy and its warnings.

    Raises:
        PolicyError: Not YAML, or against any rule; lists every problem, warnings too.
    """
    return _parse(text, Findings(file), today, learned or NoFolder())


def _parse(text: str, findings: Findings, today: date | None, learned: LearnedSource) -> LoadedPolicy:
    root = parse_tree(text, findings, keys=_KEYS)
    if root is None:
        if not findings.failed:
            fix = f"Start with `api: {SCHEMA_VERSION}`."
            findings.error(Place(line=1, column=1), "empty-file", "The file holds no policy.", fix)
        raise PolicyError(findings.problems)
    policy = _read_policy(root, findings, learned)
    check_rules(policy, findings, today=today or datetime.now(tz=UTC).date())
    check_looking(policy, findings)
    check_subjects(policy, findings)
    check_breadth(policy, findings)
    findings.raise_if_failed()
    return LoadedPolicy(policy=policy, warnings=findings.problems, positions=findings.positions)


def _read_policy(root: Node, findings: Findings, learned: LearnedSource) -> Policy:
    fields = MapReader(Value(root, (), findings), POLICY)
    plain = fields.plain()
    defaults = plain.get("defaults", Defaults())
    concepts = ConceptReader(defaults, learned)
    return Policy(
        metadata=plain["metadata"],
        model=plain.get("model", ModelBinding()),
        on_error=defaults.on_error,
        on_partial=defaults.on_partial,
        on_truncated=defaults.on_truncated,
        plan=defaults.plan,
        least_coverage=defaults.least_coverage,
        least_resolution=defaults.least_resolution,
        contexts=_contexts(fields),
        categories=tuple(concepts.category(item) for item in fields.items("categories")),
        attributes=tuple(concepts.attribute(item) for item in fields.items("attributes")),
    )


def _contexts(fields: MapReader) -> tuple[Context, ...]:
    contexts = [
        Context(name=name.text, **MapReader(inner, CONTEXT).plain())
        for name, inner in fields.entries("contexts")
        if _check_context_name(name, inner)
    ]
    value = fields.get("contexts")
    if value and len(contexts) > MAX_CONTEXTS:
        value.error("too-many", f"{len(contexts)} contexts are declared.", f"Declare at most {MAX_CONTEXTS}.")
    return tuple(contexts)


def _check_context_name(name: TextNode, value: Value) -> bool:
    trap = text_trap(name.text) if name.plain else None
    if trap:
        value.error("yaml-trap", f"The context name is no text: {trap}.", f'Put it in quotes: "{name.text}".')
    elif not NAME.pattern.fullmatch(name.text):
        value.error(NAME.code, f'The context name "{name.text}" is not allowed.', f"Use {NAME.rule}.")
    else:
        return True
    return False
