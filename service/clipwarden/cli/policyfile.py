"""What a user typed in, the policy that it names out: from a file, from a bundle, or one that ships with clipwarden."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipwarden.engine.snapshot import find_policy
from clipwarden.errors import Problem
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.file import read_bundle
from clipwarden.policy.bundle.load import is_bundle
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.schema import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyFile:
    """A policy and where it was read.

    Attributes:
        path: Its file.
        policy: As parsed.
        digest: Of the policy.
        fingerprint: Of the model that a bundle was compiled with, or that the policy is bound to; None if to none.
        bundle: The whole bundle, if it is one.
        warnings: What deserves a look.
    """

    path: Path
    policy: Policy
    digest: str
    fingerprint: str | None
    bundle: CompiledPolicy | None = None
    warnings: Sequence[Problem] = ()

    @property
    def facts(self) -> Mapping[str, object]:
        """What `--json` says about it."""
        return {
            "file": str(self.path),
            "kind": "bundle" if self.bundle else "policy",
            "id": self.policy.metadata.id,
            "version": self.policy.metadata.version,
            "digest": self.digest,
            "fingerprint": self.fingerprint,
        }


def read_policy(name: str) -> PolicyFile:
    """Read a policy of whatever form.

    Args:
        name: A policy file, a bundle, or the name of a shipped policy.

    Raises:
        ConfigError: There is none.
        PolicyError: It breaks a rule.
    """
    path = find_policy(name)
    if is_bundle(path):
        warnings: list[Problem] = []
        compiled = read_bundle(path, on_warning=warnings.append, to_judge=False)
        return PolicyFile(
            path=path,
            policy=compiled.policy,
            digest=compiled.digest,
            fingerprint=compiled.fingerprint,
            bundle=compiled,
            warnings=warnings,
        )
    loaded = load_policy(path)
    return PolicyFile(
        path=path,
        policy=loaded.policy,
        digest=policy_digest(loaded.policy),
        fingerprint=loaded.policy.model.fingerprint,
        warnings=loaded.warnings,
    )
