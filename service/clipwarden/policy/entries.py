"""A policy as it is and as it is to be in; the edits of its text out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from enum import Enum
from typing import Final, Generic, TypeVar

from clipwarden.policy.language.category_keys import CATEGORY
from clipwarden.policy.schema import Bounds, Calibration, Category, ChosenOn, Concept, Override, Policy, Thresholds
from clipwarden.textfiles.editing import Entry, Layout, layout_of
from clipwarden.textfiles.findings import Path
from clipwarden.textfiles.rendering import Value, Word

AnyConcept = TypeVar("AnyConcept", bound=Concept)
_BOUNDS: Final = tuple(field.name for field in fields(Bounds))
_LATE: Final = ("thresholds", "exemptions", "contexts", "adjustments")
_BEFORE_THRESHOLDS: Final = tuple(name for name in CATEGORY.names if name not in _LATE)
_BEFORE_CALIBRATION: Final = tuple(name for name in _BEFORE_THRESHOLDS if name not in ("calibration", "waive"))


def entries_of(text: str, old: Policy, new: Policy) -> list[Entry]:
    """Say what turns one policy's text into another's: fingerprint, calibrations, thresholds, bounds of contexts.

    Args:
        text: Of the old policy.
        old: As parsed.
        new: The same but for these, and for metadata.
    """
    found = [*_model(text, old, new)]
    for index, (category, now) in enumerate(zip(old.categories, new.categories, strict=True)):
        found += _Edits(text, ("categories", index), category, now).all()
    for index, (attribute, after) in enumerate(zip(old.attributes, new.attributes, strict=True)):
        found += _Edits(text, ("attributes", index), attribute, after).calibration()
    return found


def _model(text: str, old: Policy, new: Policy) -> Iterator[Entry]:
    if new.model.fingerprint is None or old.model.fingerprint == new.model.fingerprint:
        return
    if layout_of(text, ("model",)):
        yield Entry(path=("model",), key="fingerprint", value=new.model.fingerprint)
    else:
        value = {"fingerprint": new.model.fingerprint}
        yield Entry(path=(), key="model", value=value, after=("api", "metadata"))


class _Edits(Generic[AnyConcept]):
    """Of one category, or attribute."""

    def __init__(self, text: str, path: Path, was: AnyConcept, now: AnyConcept) -> None:
        self._text, self._path, self._was, self._now = text, path, was, now

    def all(self: "_Edits[Category]") -> Iterator[Entry]:
        """Yield what a category needs, in the order in which new keys are to stand."""
        yield from self.calibration()
        yield from self._thresholds()
        if self._was.contexts != self._now.contexts:
            yield from self._contexts()

    def calibration(self) -> Iterator[Entry]:
        """Yield what any concept needs."""
        if self._was.calibration != self._now.calibration:
            wanted = None if self._now.calibration is None else _calibration(self._now.calibration)
            yield from self._map("calibration", wanted, _BEFORE_CALIBRATION)

    def _thresholds(self: "_Edits[Category]") -> Iterator[Entry]:
        was, now = self._was.thresholds, self._now.thresholds
        if was == now:
            return
        if was and now and was.chosen_on and now.chosen_on and was == replace(now, chosen_on=was.chosen_on):
            yield self._rechosen(was.chosen_on, now.chosen_on)
        else:
            yield from self._map("thresholds", None if now is None else _thresholds(now), _BEFORE_THRESHOLDS)

    def _rechosen(self, was: ChosenOn, now: ChosenOn) -> Entry:
        """Write another digest where nothing else is another."""
        there = (*self._path, "thresholds")
        if was == replace(now, digest=was.digest) and layout_of(self._text, (*there, "chosen_on")):
            return Entry(path=(*there, "chosen_on"), key="digest", value=now.digest)
        return Entry(path=there, key="chosen_on", value=_chosen_on(now))

    def _map(self, name: str, wanted: Mapping[str, Value] | None, after: Sequence[str]) -> Iterator[Entry]:
        """Write a map anew, or key by key where it holds comments, or may."""
        layout = layout_of(self._text, (*self._path, name))
        if wanted is None or layout in (None, Layout.FLOW):
            yield Entry(path=self._path, key=name, value=wanted, after=after)
            return
        keys = dict.fromkeys((*wanted, *(_BOUNDS if name == "thresholds" else ())))
        for place, key in enumerate(keys):
            yield Entry(path=(*self._path, name), key=key, value=wanted.get(key), after=tuple(keys)[:place])

    def _contexts(self: "_Edits[Category]") -> Iterator[Entry]:
        overrides = {name: _override(each) for name, each in self._now.contexts.items()}
        there = (*self._path, "contexts")
        if not overrides or not self._was.contexts:
            yield Entry(path=self._path, key="contexts", value=overrides or None)
            return
        for name in dict.fromkeys((*self._was.contexts, *overrides)):
            if name not in overrides or name not in self._was.contexts:
                yield Entry(path=there, key=name, value=overrides.get(name))
            elif self._was.contexts[name] != self._now.contexts[name]:
                yield from self._context((*there, name), _override(self._was.contexts[name]), overrides[name])

    def _context(self, path: Path, was: Mapping[str, Value], now: Mapping[str, Value]) -> Iterator[Entry]:
        if not was.keys() & now.keys():
            yield Entry(path=path[:-1], key=str(path[-1]), value=now)
            return
        for key in _BOUNDS:
            yield Entry(path=path, key=key, value=now.get(key))


def _calibration(fitted: Calibration) -> dict[str, Value]:
    return _written(fitted, ("slope", "bias", "prevalence", "fitted_on"))


def _thresholds(thresholds: Thresholds) -> dict[str, Value]:
    bounds = _written(thresholds.bounds, _BOUNDS)
    chosen = {} if thresholds.chosen_on is None else {"chosen_on": _chosen_on(thresholds.chosen_on)}
    return {"unit": Word(thresholds.unit.value), **bounds, **chosen}


def _chosen_on(chosen: ChosenOn) -> Value:
    if chosen == ChosenOn(digest=chosen.digest):
        return chosen.digest
    written = _written(chosen, ("digest", "by", "reason", "approved_by"))
    if chosen.evidence is None:
        return written
    return {**written, "evidence": _written(chosen.evidence, tuple(field.name for field in fields(chosen.evidence)))}


def _override(override: Override) -> dict[str, Value]:
    return _written(override, (*_BOUNDS, "mode"))


def _written(record: object, names: Sequence[str]) -> dict[str, Value]:
    values = ((name, getattr(record, name)) for name in names)
    return {
        name: Word(value.value) if isinstance(value, Enum) else value
        for name, value in values
        if value not in (None, ())
    }
