"""Whether what commands on stores and labels stand on is installed; a sentence that says how to get it, where not."""

from importlib import import_module

from clipwarden.errors import ExtraMissingError

INSTALL = "pip install 'clipwarden[tune]'"
"""As people type it; the quotes are for shells that read brackets."""

_MODULES = ("pyarrow", "scipy")


def require_tune() -> None:
    """Insist on the extra `tune`; a command calls it before it imports what needs it.

    Raises:
        ExtraMissingError: Some of it is not installed, or cannot be imported.
    """
    for name in _MODULES:
        try:
            import_module(name)
        except ImportError as exc:
            found = "is not installed" if isinstance(exc, ModuleNotFoundError) else f"cannot be imported ({exc})"
            raise ExtraMissingError(f"{name} {found}; this command needs it: run `{INSTALL}`.") from exc
