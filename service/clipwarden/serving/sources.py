"""Flags, environment variables and YAML files in, checked Settings out, or ConfigError naming where the fault is.

Flags win over variables, variables over files, a later file over an earlier one, files over defaults. All are texts
read by the same readers, so a value means the same wherever it is written.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipwarden.errors import ConfigError
from clipwarden.serving.config import ENV_PREFIX, RETIRED_SETTINGS, SETTING_DOCS, SettingDocs, Settings
from clipwarden.textfiles.findings import Findings
from clipwarden.textfiles.reading import read_file
from clipwarden.textfiles.tree import ListNode, MapNode, Node, TextNode, parse_tree
from clipwarden.textfiles.wording import closest

# Kubernetes gives each pod variables about the services of its namespace: a service called "clipwarden" yields
# CLIPWARDEN_PORT=tcp://..., CLIPWARDEN_SERVICE_HOST and more, none of which were meant for us.
_SERVICE_LINK = re.compile(r"CLIPWARDEN_(.*_)?(SERVICE_HOST|SERVICE_PORT|PORT)(_.*)?")


def load_settings(
    flags: Mapping[str, str | Sequence[str] | None], environ: Mapping[str, str], files: Sequence[Path] = ()
) -> Settings:
    """Gather settings from everywhere.

    Args:
        flags: By setting name; None, or an empty list, where the flag was not given.
        environ: The environment; only CLIPWARDEN_* is looked at.
        files: Settings files; where two set the same key, the later one wins, lists and all.

    Returns:
        The settings.

    Raises:
        ConfigError: A key is unknown, a value cannot be read, or settings contradict one another.
    """
    given: dict[str, object] = {}
    for file in files:
        given.update(_from_file(file))
    given.update(_from_environment(environ))
    given.update(read_flags(flags))
    values: dict[str, Any] = given  # checked one by one as they were read
    return Settings(**values)


def read_flags(flags: Mapping[str, str | Sequence[str] | None]) -> dict[str, object]:
    """Read the values of flags, without whether they contradict one another.

    Args:
        flags: As for `load_settings`.

    Returns:
        Values by setting name, where a flag was given.

    Raises:
        ConfigError: A value cannot be read, or the flag is one of earlier versions.
    """
    for name in RETIRED_SETTINGS:
        if flags.get(name) is not None:
            raise ConfigError(f"--{name.replace('_', '-')} {RETIRED_SETTINGS[name]}.")
    return {
        name: _read(SETTING_DOCS[name], [text] if isinstance(text, str) else text, SETTING_DOCS[name].flag)
        for name, text in flags.items()
        if name in SETTING_DOCS and text is not None and (isinstance(text, str) or text)
    }


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    _refuse_misspelt(environ)
    return read_variables(environ, SETTING_DOCS)


def read_variables(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, object]:
    """Read the variables of some settings.

    Args:
        environ: The environment.
        names: Of the settings.

    Returns:
        Values by setting name, where a variable is set.

    Raises:
        ConfigError: A value cannot be read.
    """
    given = {}
    for docs in (SETTING_DOCS[name] for name in names):
        text = environ.get(docs.variable)
        if text is not None:
            texts = [part for part in text.split(",") if part.strip()] if docs.repeated else [text]
            given[docs.name] = _read(docs, texts, docs.variable)
    return given


def _refuse_misspelt(environ: Mapping[str, str]) -> None:
    """Refuse near misses only: the variables of other tools, and of Kubernetes, are none of our business."""
    known = {docs.variable: docs for docs in SETTING_DOCS.values()}
    for name in environ:
        if not name.startswith(ENV_PREFIX) or name in known or _SERVICE_LINK.fullmatch(name):
            continue
        retired = RETIRED_SETTINGS.get(name.removeprefix(ENV_PREFIX).lower())
        if retired:
            raise ConfigError(f"The variable {name} {retired}.")
        guess = closest(name.removeprefix(ENV_PREFIX), SETTING_DOCS)
        if guess:
            raise ConfigError(f"The variable {name} is no setting. Did you mean {SETTING_DOCS[guess].variable}?")


def _from_file(file: Path) -> dict[str, object]:
    findings = Findings(str(file))
    text = read_file(file, findings)
    root = parse_tree(text, findings, keys=SETTING_DOCS) if text is not None else None
    if findings.failed:
        raise ConfigError("\n".join(str(problem) for problem in findings.problems))
    if root is None:  # a file of comments sets nothing, which for settings is no fault
        return {}
    if not isinstance(root, MapNode):
        raise ConfigError(f"{file}:1:1: the settings must be a map, such as `listen: 0.0.0.0:50051`.")
    given: dict[str, object] = {}
    for key, node in root.entries:
        where = f"{file}:{key.place.line}:{key.place.column}: {key.text}"
        docs = SETTING_DOCS.get(key.text)
        if key.text in RETIRED_SETTINGS:
            raise ConfigError(f"{where} {RETIRED_SETTINGS[key.text]}.")
        if docs is None and key.text == "api":
            raise ConfigError(f"{where} is no setting: this is a policy. Name it with --policy.")
        if docs is None:
            guess = closest(key.text, SETTING_DOCS)
            raise ConfigError(f"{where} is no setting.{f' Did you mean {guess}?' if guess else ''}")
        if key.text in given:
            raise ConfigError(f"{where} is given twice. Keep one of the two.")
        given[key.text] = _read(docs, _texts_of(node, docs, where), where)
    return given


def _texts_of(node: Node, docs: SettingDocs, where: str) -> list[str]:
    items = node.items if isinstance(node, ListNode) and docs.repeated else (node,)
    texts = [_text_of(item) for item in items if isinstance(item, TextNode)]
    if len(texts) != len(items):
        raise ConfigError(f"{where} must be {'a list of values' if docs.repeated else 'a single value'}.")
    return texts


def _text_of(node: TextNode) -> str:
    return "" if node.plain and node.text in ("~", "null") else node.text


def _read(docs: SettingDocs, texts: Sequence[str], where: str) -> object:
    try:
        read = tuple(docs.read(text) for text in texts)
    except ValueError as exc:
        raise ConfigError(f"{where} {exc}.") from exc
    return read if docs.repeated else read[0]
