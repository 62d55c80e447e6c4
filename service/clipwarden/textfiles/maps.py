"""Read a map whose keys are known: every other key is refused, with what was probably meant."""

from collections.abc import Mapping

from clipwarden.textfiles.findings import Findings, Place
from clipwarden.textfiles.tree import TextNode
from clipwarden.textfiles.values import Value, closest, shown

LATER = frozenset({"references", "lists", "views"})
"""Keys that the design reserves. Refused with their own sentence: a key that does nothing would mislead."""

_HOMES = {
    "review": "thresholds",
    "block": "thresholds",
    "unit": "thresholds",
    "method": "scoring",
    "pool": "scoring",
    "fingerprint": "model",
    "calibration_scale": "model",
    "on_error": "defaults",
    "on_partial": "defaults",
    "version": "metadata",
    "owner": "metadata",
    "reason": "metadata",
    "review_by": "metadata",
    "attribute": "when",
    "gte": "when",
    "add": "adjustments",
    "vector": "prompts",
    "file": "scoring",
    "bias": "calibration",
    "prevalence": "calibration",
    "fitted_on": "calibration",
}


class Fields:
    """The values of one map, by key.

    Args:
        value: The map.
        known: Each key that may stand here, with an example of its value for messages.
        findings: Receives unknown, repeated and missing keys.
    """

    def __init__(self, value: Value, known: Mapping[str, str], findings: Findings) -> None:
        self._value = value
        self._known = known
        self._findings = findings
        self._usable = value.is_map
        example = "{" + ", ".join(f"{key}: {text}" for key, text in known.items()) + "}"
        self._values: dict[str, Value] = {}
        for key, inner in value.entries(example=example):
            if key.text in known:
                self._values[key.text] = inner
            else:
                self._refuse(key)

    @property
    def place(self) -> Place:
        """Where the map starts."""
        return self._value.place

    def get(self, key: str) -> Value | None:
        """Return an optional value, or None when the key is absent."""
        return self._values.get(key)

    def need(self, key: str) -> Value | None:
        """Return a required value, or None after a finding."""
        value = self._values.get(key)
        # A value that is no map at all is already reported; its missing keys would only repeat that.
        if value is None and self._usable:
            message = f"{self._value.name} lacks the key `{key}`."
            self._findings.error(self.place, "missing-key", message, f"Add `{key}: {self._known[key]}`.")
        return value

    def _refuse(self, key: TextNode) -> None:
        if key.text in LATER:
            message = f"The key `{key.text}` is not supported yet; nothing would read it."
            self._findings.error(key.place, "not-supported-yet", message, "Delete it.")
            return
        message = f"{self._value.name} has the unknown key `{shown(key.text)}`."
        self._findings.error(key.place, "unknown-key", message, self._hint(key.text))

    def _hint(self, key: str) -> str:
        if guess := closest(key, self._known):
            return f"Did you mean `{guess}`?"
        if home := _HOMES.get(key):
            return f"It belongs under `{home}`."
        return f"Delete it; the keys here are {', '.join(self._known)}."
