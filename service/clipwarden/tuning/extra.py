"""Whether what commands on stores and labels stand on is installed; a sentence that says how to get it, where not."""

from importlib.util import find_spec

from clipwarden.errors import ExtraMissingError

INSTALL = "pip install 'clipwarden[tune]'"
"""As people type it; the quotes are for shells that read brackets."""

_MODULES = ("pyarrow", "scipy")


def require_tune() -> None:
    """Insist on the extra `tune`; a command calls it before it imports what needs it.

    Raises:
        ExtraMissingError: Some of it is not installed.
    """
    # Looked for and not imported: scipy takes longer than most of what a command does, and not all need it.
    if lacking := next((name for name in _MODULES if find_spec(name) is None), None):
        raise ExtraMissingError(f"This command needs {lacking}, which is not installed: run `{INSTALL}`.")
