"""What a request judges with: one model and the policies loaded for it, immutable, kept from admission to the end."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from clipwarden.engine.linefindings import scale_look
from clipwarden.engine.origin import Origin
from clipwarden.errors import ConfigError, PolicyUnknownError, Problem, Severity
from clipwarden.modelfolder.load import EMBEDDED_MODEL, Model, load_model, resolve_model
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.load import load_compiled
from clipwarden.policy.bundle.vectors import Progress
from clipwarden.policy.shipped import shipped_policies, shipped_policy
from clipwarden.scoring.decide import require_context
from clipwarden.scoring.tables import Tables, prepare
from clipwarden.textfiles.findings import in_file_order
from clipwarden.textfiles.wording import closest
from clipwarden.vision.plan import ViewPlan

LINES_SAID = 10
"""Further lines of a policy named beside the first finding of a rule; lint itself says all of them in full."""

log = logging.getLogger(__name__)

ShowProgress = Callable[[str], AbstractContextManager[Progress | None]]
"""Makes a progress bar, or what stands for one, of a label; shown inside its block."""


def no_progress(_label: str) -> AbstractContextManager[Progress | None]:
    """Show none."""
    return nullcontext()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Snapshot:
    """One model and its policies.

    Attributes:
        model: Sees.
        tables: Prepared policies by id, ordered by id.
        default_policy_id: For requests that name none.
        candidates: Prepared policies that only watch, by `id@version`, ordered by that; see `candidates`.
        origin: What it was loaded from, where whoever loaded it keeps that.
    """

    model: Model
    tables: Mapping[str, Tables]
    default_policy_id: str
    candidates: Mapping[str, Tables] = field(default_factory=dict)
    origin: Origin | None = None

    def select(self, policy_id: str | None = None, context: str | None = None) -> "Selection":
        """Choose what one request is judged with.

        Args:
            policy_id: None takes the default.
            context: A context the policy declares, or None.

        Returns:
            The selection, which keeps this snapshot alive.

        Raises:
            PolicyUnknownError: No such policy is loaded, or it is a candidate.
            ContextUnknownError: The policy declares no such context.
        """
        if candidate := self.candidates.get(policy_id or ""):
            live = candidate.compiled.policy.metadata.id
            raise PolicyUnknownError(
                f"{policy_id!r} is a candidate, which only watches; {live!r} is the policy to name"
            )
        tables = self.tables.get(policy_id or self.default_policy_id)
        if tables is None:
            raise PolicyUnknownError(f"no policy {policy_id!r} is loaded; loaded are: {', '.join(self.tables)}")
        require_context(tables, context)
        return Selection(snapshot=self, tables=tables, context=context)

    def show(self, policy_id: str | None) -> "Selection":
        """Choose a policy to tell about: as `select`, or a candidate, by `id@version`."""
        candidate = self.candidates.get(policy_id or "")
        return Selection(snapshot=self, tables=candidate, context=None) if candidate else self.select(policy_id)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Selection:
    """What one request is judged with, whatever is loaded meanwhile."""

    snapshot: Snapshot
    tables: Tables
    context: str | None

    @property
    def compiled(self) -> CompiledPolicy:
        """The policy with its vectors."""
        return self.tables.compiled

    @property
    def candidates(self) -> tuple["Selection", ...]:
        """The same for what watches beside the policy, which may not declare the context."""
        mine, watching = self.compiled.policy.metadata.id, self.snapshot.candidates.values()
        return tuple(replace(self, tables=each) for each in watching if each.compiled.policy.metadata.id == mine)

    @property
    def plan(self) -> ViewPlan:
        """Which views the policy wants looked at."""
        return self.compiled.policy.plan


def log_findings(findings: Sequence[Problem]) -> None:
    """Log what lint warns of in a policy that was loaded, in brief.

    By logging and not by `warnings`: what is to be mended is a file that staff keep, not the program that loads it.
    """
    for line in in_brief(findings):
        log.warning("%s", line)


def in_brief(findings: Sequence[Problem]) -> list[str]:
    """Say what lint warns of in a line a rule: the first finding in full, and where there are more.

    Args:
        findings: Of one file.
    """
    by_rule: dict[str, list[Problem]] = {}
    for finding in findings:
        by_rule.setdefault(finding.code, []).append(finding)
    return [f"{first}{_and_more(others)}" for first, *others in by_rule.values()]


def _and_more(others: Sequence[Problem]) -> str:
    if not others:
        return ""
    lines = list(dict.fromkeys(str(each.line) for each in others if each.line))
    shown = f": {'line' if len(lines) == 1 else 'lines'} {', '.join(lines[:LINES_SAID])}" if lines else ""
    return f" And {len(others)} more such{shown}{' and so on' if len(lines) > LINES_SAID else ''}."


def load_snapshot(
    model: str,
    policies: Sequence[str] = (),
    default_policy_id: str | None = None,
    *,
    provider: str = "CPUExecutionProvider",
    threads: int | None = None,
    cache: VectorCache | None = None,
    progress: ShowProgress = no_progress,
    on_findings: Callable[[Sequence[Problem]], None] = log_findings,
) -> Snapshot:
    """Load a model and its policies. Takes seconds: keep it off the event loop.

    Args:
        model: `mini`, or a model folder.
        policies: YAML files, bundles or names of shipped policies; none takes the shipped one that suits the model.
        default_policy_id: None takes the first policy.
        provider: onnxruntime execution provider.
        threads: Of a run of the image encoder; None takes `load.ENCODER_THREADS`.
        cache: Vectors of texts embedded before; None embeds all.
        progress: Makes a progress bar of a label.
        on_findings: Told once a policy what lint warns of in it, if anything, in file order, and once of a model that
            sees stored colours; logs it by default.

    Returns:
        The snapshot.

    Raises:
        ModelError: The model folder cannot be trusted.
        PolicyError: A policy cannot be used.
        FingerprintMismatchError: A policy or bundle belongs to another model.
        ConfigError: A policy file is missing, two policies share an id, or the default is none of them.
        RuntimeMissingError: Neither or both runtime packages are installed.
    """
    # First, since a misspelt name should not have to wait for a model.
    paths = find_policies(model, policies)
    loaded = load_seeing_model(model, provider=provider, threads=threads, on_findings=on_findings)
    return load_policies(loaded, paths, default_policy_id, cache=cache, progress=progress, on_findings=on_findings)


def load_seeing_model(
    model: str,
    *,
    provider: str,
    threads: int | None,
    on_findings: Callable[[Sequence[Problem]], None] = log_findings,
) -> Model:
    """Load the model that a user names, and tell of one that sees stored colours; as `load_snapshot` does."""
    folder = resolve_model(model)
    loaded = load_model(folder, provider=provider, threads=threads)
    if loaded.manifest.image.colour == "ignore":
        on_findings([_stored_colours(folder)])
    return loaded


def load_policies(
    model: Model,
    paths: Sequence[Path],
    default_policy_id: str | None = None,
    *,
    cache: VectorCache | None = None,
    progress: ShowProgress = no_progress,
    on_findings: Callable[[Sequence[Problem]], None] = log_findings,
) -> Snapshot:
    """Load policies for a model that is loaded; raises as `load_snapshot` does.

    Args:
        model: Sees.
        paths: YAML files or bundles; at least one.
        default_policy_id: None takes the first policy.
        cache: Vectors of texts embedded before; None embeds all.
        progress: Makes a progress bar of a label.
        on_findings: Told once a policy what lint warns of in it, if anything, in file order; logs it by default.
    """
    compiled = []
    for path in paths:
        with progress(f"Embedding the texts of {path.name}") as advance:
            policy, found = load_with_findings(path, model=model, cache=cache, progress=advance)
        compiled.append(policy)
        if found:
            on_findings(found)
    return make_snapshot(model, compiled, default_policy_id)


def _stored_colours(folder: Path) -> Problem:
    """Warn of a model folder that was made before `colour`, whose owner may not know."""
    return Problem(
        file=str(folder),
        line=0,
        column=0,
        message="The model sees stored colours, which are not the ones shown where a file carries a profile or a "
        "transfer function: a way round every policy.",
        fix=f"`clipwarden models upgrade {folder} -o NEW` writes a folder that sees what is shown.",
        severity=Severity.WARNING,
        code="stored-colours",
    )


def load_with_findings(
    path: Path, *, model: Model, cache: VectorCache | None = None, progress: Progress | None = None
) -> tuple[CompiledPolicy, Sequence[Problem]]:
    """Load one policy and what lint warns of in it, in file order; raises as `load_compiled` does."""
    found: list[Problem] = []
    compiled = load_compiled(
        path, model=model, cache=cache, progress=progress, on_warning=found.append, look=scale_look(model)
    )
    return compiled, in_file_order(found)


def make_snapshot(model: Model, policies: Sequence[CompiledPolicy], default_policy_id: str | None = None) -> Snapshot:
    """Join a model and policies that are already loaded.

    Args:
        model: Loaded.
        policies: Compiled for that model; at least one.
        default_policy_id: None takes the first policy.

    Returns:
        The snapshot.

    Raises:
        ConfigError: Two policies share an id, or the default is none of them.
    """
    tables: dict[str, Tables] = {}
    for compiled in policies:
        policy_id = compiled.policy.metadata.id
        if policy_id in tables:
            raise ConfigError(f"Two of the policies have the id {policy_id!r}; change metadata.id of one of them.")
        tables[policy_id] = prepare(compiled)
    default = default_policy_id or policies[0].policy.metadata.id
    if default not in tables:
        raise ConfigError(f"The default policy {default!r} is not among those loaded: {', '.join(tables)}.")
    return Snapshot(model=model, tables=dict(sorted(tables.items())), default_policy_id=default)


def user_cache_folder() -> Path | None:
    """Name the folder of text vectors among the user's caches (XDG base directories); None without a home.

    In a container a user often has neither HOME nor an entry in the password file.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(base) / "clipwarden" / "vectors"


def find_policies(model: str, policies: Sequence[str]) -> list[Path]:
    """Turn what a user typed into policy files: as `find_policy`, or the shipped policy that suits the model."""
    return [find_policy(name) for name in policies or ("stickers" if model == EMBEDDED_MODEL else "default",)]


def find_policy(name: str) -> Path:
    """Turn what a user typed into a policy file: an existing path, or the name of a shipped policy.

    Raises:
        ConfigError: It is neither.
    """
    with suppress(RuntimeError):  # a home that does not exist
        path = Path(name).expanduser()
        if path.is_file():
            return path
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{name} is a pipe or a device, which is read only once. Write the policy into a file.")
    if "/" not in name and not Path(name).suffix:
        shipped = shipped_policy(name)
        if shipped.is_file():
            return shipped
    meant = closest(Path(name).stem, [path.stem for path in shipped_policies()])
    hint = f' Did you mean "{meant}"?' if meant else ""
    raise ConfigError(f"There is no policy file {name}, and no shipped policy of that name.{hint}")
