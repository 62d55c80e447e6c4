"""A bundle in, its policy as YAML that people can read out, with what YAML cannot say as comments."""

from collections.abc import Iterable, Sequence

import yaml

from clipwarden import __version__
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.vectors import embedded_texts
from clipwarden.policy.language.dump import policy_document
from clipwarden.policy.language.keys import POLICY
from clipwarden.policy.language.kinds import Json, Kind
from clipwarden.policy.language.learned import head_content
from clipwarden.policy.language.tables import Keys, ListOf, MapOf, inside
from clipwarden.policy.schema import Concept, LearnedVector, Policy
from clipwarden.textfiles.linemends import CURLY

WIDTH = 120
"""Columns: as wide as the shipped policies are, their texts aside."""


class _Dumper(yaml.SafeDumper):
    """Puts texts that hold a quote into straight ones: a quote at the end of a bare text is taken for a slip."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if set(text) & set(CURLY + "\"'") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def bundle_text(compiled: CompiledPolicy) -> str:
    """Render a bundle.

    Args:
        compiled: As read.

    Returns:
        YAML that lints as the policy did, but that learned vectors and heads are named by their content.
    """
    header = [f"# {line}".rstrip() for line in _header(compiled)]
    return "\n".join([*header, policy_text(compiled.policy)])


def policy_text(policy: Policy) -> str:
    """Render a policy as YAML, its defaults written out but for weights of 1; equal policies give equal texts."""
    document = _tidy(policy_document(policy), POLICY)
    return yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=WIDTH
    )


def _tidy(document: Json, keys: Keys) -> Json:
    """Put keys into the order of the page, and leave out what is empty or says no more than its absence would."""
    present = (key for key in keys if document.get(key.name) not in (None, [], {}))
    return {key.name: _tidy_value(document[key.name], key.kind) for key in present}


def _tidy_value(value: object, kind: Kind) -> object:
    if isinstance(kind, MapOf) and isinstance(value, dict):
        return {name: _tidy_value(item, kind.item) for name, item in value.items()}
    if isinstance(kind, ListOf) and isinstance(value, list):
        return [_tidy_value(item, kind.item) for item in value]
    keys = inside(kind)
    if keys is None or not isinstance(value, dict):
        return value
    return value["text"] if value.keys() == {"text", "weight"} and value["weight"] == 1.0 else _tidy(value, keys)


def learned_facts(policy: Policy) -> list[Json]:
    """Name the learned vectors and heads of a policy, each once, and where they stand.

    Args:
        policy: As parsed.

    Returns:
        For each its `kind`, name (of a vector), content, widths, and the ids of the concepts that use it.
    """
    found: dict[object, Json] = {}
    for concept in (*policy.categories, *policy.attributes):
        for key, facts in _learned(concept):
            users = found.setdefault(key, {**facts, "used_by": []})["used_by"]
            if isinstance(users, list) and concept.id not in users:
                users.append(concept.id)
    return list(found.values())


def _learned(concept: Concept) -> Iterable[tuple[object, Json]]:
    for phrase in concept.phrases:
        if isinstance(phrase, LearnedVector):
            yield phrase, {"kind": "vector", "name": phrase.name, "content": phrase.content, "widths": [phrase.dim]}
    if concept.head:
        layers = sorted(concept.head, key=lambda layer: layer.place)
        widths = [layers[0].inputs, *(layer.outputs for layer in layers)]
        content = head_content(concept.head)
        yield content, {"kind": "head", "content": content, "widths": widths}


def _header(compiled: CompiledPolicy) -> Sequence[str]:
    learned = learned_facts(compiled.policy)
    lines = [
        f"The policy in a bundle, printed by clipwarden {__version__}.",
        f"digest:      {compiled.digest}",
        f"fingerprint: {compiled.fingerprint}, the model that it was compiled with",
        f"texts:       {len(embedded_texts(compiled.policy))} in their templates",
        *(f"{fact['kind']}: {_described(fact)}" for fact in learned),
    ]
    if compiled.dropped_calibrations:
        dropped = ", ".join(sorted(compiled.dropped_calibrations))
        lines.append(f"not used: the calibrations of {dropped}, which were fitted on something else")
    if learned:
        lines.append("Vectors and heads are named by their content: this text loads beside no file of theirs.")
    return lines


def _described(fact: Json) -> str:
    widths = fact["widths"] if isinstance(fact["widths"], list) else []
    users = fact["used_by"] if isinstance(fact["used_by"], list) else []
    name = f"{fact['name']}, " if "name" in fact else ""
    return f"{name}{fact['content']}, {' -> '.join(map(str, widths))} numbers, used by {', '.join(users)}"
