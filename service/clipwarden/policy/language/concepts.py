"""Read categories and attributes: what their tables explain, and what depends on more than one key."""

from dataclasses import dataclass
from typing import Any

from clipwarden.policy.language.bounds import check_order, check_override, read_bounds
from clipwarden.policy.language.category_keys import BOUNDS, CATEGORY, CHOSEN_ON, MODE, OVERRIDE
from clipwarden.policy.language.concept_keys import ATTRIBUTE, DIGEST_TEXT, PROMPT, PROMPT_TEXT, VECTOR, WAIVER
from clipwarden.policy.language.conditions import read_adjustments, read_exemptions
from clipwarden.policy.language.keys import Defaults
from clipwarden.policy.language.learned import LearnedError, LearnedSource
from clipwarden.policy.language.maps import MapReader
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import (
    Attribute,
    Bounds,
    By,
    Category,
    ChosenOn,
    Head,
    LearnedVector,
    Method,
    Override,
    Phrase,
    Pool,
    Prompt,
    Thresholds,
    Unit,
    Waiver,
)
from clipwarden.textfiles.linemends import straight
from clipwarden.textfiles.meant import meant_number
from clipwarden.textfiles.values import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scoring:
    """How a concept's number is made; None stands for what is written but unreadable."""

    method: Method | None = Method.MARGIN
    pool: Pool | None = Pool.MAX
    head: Head = ()


class ConceptReader:
    """Reads one category or attribute after the other.

    Args:
        defaults: What applies where a concept says nothing.
        learned: Where learned vectors and heads are found.
    """

    def __init__(self, defaults: Defaults, learned: LearnedSource) -> None:
        self._defaults = defaults
        self._learned = learned

    def attribute(self, value: Value) -> Attribute:
        """Read an item of `attributes`."""
        fields = MapReader(value, CATEGORY if _refuse_category(value) else ATTRIBUTE)
        concept = self._concept(fields, self._scoring(fields))
        return Attribute(**{name: concept[name] for name in concept if name not in _CATEGORY_ALONE})

    def category(self, value: Value) -> Category:
        """Read an item of `categories`."""
        fields = MapReader(value, CATEGORY)
        scoring = self._scoring(fields)
        thresholds = _thresholds(fields, scoring.method)
        return Category(
            **self._concept(fields, scoring),
            thresholds=thresholds,
            exemptions=read_exemptions(fields),
            contexts=_overrides(fields, thresholds),
            adjustments=read_adjustments(fields),
        )

    def _concept(self, fields: MapReader, scoring: _Scoring) -> dict[str, Any]:
        """Read what categories and attributes share, and whatever their tables explain alone."""
        shared = {
            "templates": (),
            "prompts": tuple(self._prompt(item, scoring.pool) for item in fields.items("prompts")),
            "negatives": tuple(self._negative(item) for item in fields.items("negatives")),
            "method": scoring.method or Method.MARGIN,
            "pool": scoring.pool or Pool.MAX,
            "head": scoring.head,
            "waive": tuple(Waiver(**MapReader(item, WAIVER).plain()) for item in fields.items("waive")),
        }
        return shared | fields.plain(self._defaults)

    def _scoring(self, concept: MapReader) -> _Scoring:
        """Read `scoring`, and tell both readers which of their keys mean something under its method."""
        fields = concept.nested("scoring")
        if fields is None:
            concept.apply_method(Method.MARGIN)
            return _Scoring()
        if not fields.value.is_map:
            concept.apply_method(None)
            return _Scoring(method=None, pool=None)
        method = fields.read("method", absent=Method.MARGIN)
        concept.apply_method(method)
        fields.apply_method(method)
        return _Scoring(method=method, pool=fields.read("pool", absent=Pool.MAX), head=self._head(fields, method))

    def _head(self, fields: MapReader, method: Method | None) -> Head:
        file, value = fields.read("file"), fields.get("file")
        if not (file and value and method):
            return ()
        try:
            return self._learned.open(file).head()
        except LearnedError as error:
            value.error(error.code, error.message, error.fix)
            return ()

    def _prompt(self, value: Value, pool: Pool | None) -> Prompt:
        if not value.is_map or _refuse_colon(value):
            return Prompt(text=_text(value))
        fields = MapReader(value, PROMPT)
        if pool is Pool.MAX and (weight := fields.get("weight")):
            message = "A weight does nothing under `pool: max`, where the best prompt alone counts."
            weight.error("weight-under-max", message, "Delete the weight, or write `scoring: {pool: mean}` or `lse`.")
        return Prompt(text=self._phrase(fields), weight=fields.read("weight") or 1.0)

    def _negative(self, value: Value) -> Phrase:
        if not value.is_map or _refuse_colon(value):
            return _text(value)
        if value.keys and set(value.keys) <= {"text", "weight"}:
            message = f"{value.name} is a map; a negative is a text alone, without a weight."
            value.error("wrong-type", message, f"Write {value.rewritten(straight(value.peek('text')))}.")
            return ""
        return self._vector(MapReader(value, VECTOR))

    def _phrase(self, fields: MapReader) -> Phrase:
        vector = fields.get("vector") or fields.get("file")
        if vector is None:
            fields.need("text")
            return fields.read("text") or ""
        if fields.get("text"):
            message = "This prompt is a text and a vector; it can be one of them."
            vector.error("text-and-vector", message, "Make it two prompts, or delete one of the two.")
            return ""
        return self._vector(fields)

    def _vector(self, fields: MapReader) -> LearnedVector | str:
        named, written = fields.need("vector"), fields.need("file")
        name, file = fields.read("vector"), fields.read("file")
        if not (named and written and name and file):
            return ""
        culprit = written
        try:
            found = self._learned.open(file)
            culprit = named
            return found.vector(name)
        except LearnedError as error:
            culprit.error(error.code, error.message, error.fix)
            return ""


def _text(value: Value) -> str:
    return "" if value.is_map else PROMPT_TEXT.read(value) or ""


def _refuse_colon(value: Value) -> bool:
    """Report a text that a colon made a map, and tell whether this is one."""
    meant = value.text_with_colon(PROMPT.names)
    if meant:
        message = f"YAML reads {value.name} as a key and a value, because of its colon."
        value.error("yaml-trap", message, f"Put it in quotes: {value.rewritten(meant)}.")
    return meant is not None


_CATEGORY_ALONE = frozenset(CATEGORY.names) - frozenset(ATTRIBUTE.names)


def _refuse_category(value: Value) -> bool:
    """Report an attribute that reads like a category pasted below the others, and tell whether this is one."""
    keys = [name for name in value.keys if name in ("severity", "definition")]
    if keys:
        message = f'{value.name}, "{value.peek("id")}", reads like a category: it has `{keys[0]}`.'
        fix = "Move it above the line `attributes:`, to the end of `categories`."
        value.error("misplaced-category", message, fix)
    return bool(keys)


def _thresholds(concept: MapReader, method: Method | None) -> Thresholds | None:
    due = METHODS[method or Method.MARGIN].unit
    value = concept.get("thresholds")
    bare = _bare_thresholds(value, due) if value else None
    fields = concept.nested("thresholds") if bare is None else None
    if fields is None:
        return bare
    fields.offer_instead("unit", due)
    unit = fields.read("unit")
    if unit and method and unit is not due and (named := fields.get("unit")):
        message = f"The unit `{unit}` does not go with `method: {method}`."
        named.error("unit-mismatch", message, f"Write `unit: {due}`, and numbers in that unit.")
    if not fields.complete:
        fields.value.error("no-bound", "These thresholds hold no bound.", "Add `review:` or `block:`, or delete them.")
    bounds = read_bounds(fields, unit or (due if method else None))
    check_order(fields.value, bounds)
    return Thresholds(unit=unit or due, bounds=bounds, chosen_on=_chosen_on(fields))


def _bare_thresholds(value: Value, unit: Unit) -> Thresholds | None:
    """Report one or two numbers in the place of thresholds, and return a stand-in; None elsewhere."""
    numbers = sorted((meant for word in value.words or (value.word,) if (meant := meant_number(word))), key=float)
    if value.is_map or not 1 <= len(numbers) <= len(BOUNDS.keys):
        return None
    review, block = numbers[0], numbers[-1]
    written = [f"{{unit: {unit}, review: {review}, block: {block}}}"]
    if len(numbers) == 1:
        written = [f"{{unit: {unit}, {key.name}: {block}}}" for key in BOUNDS]
    message = f"{value.name} holds numbers without their keys."
    value.error("wrong-type", message, f"Write {' or '.join(map(value.rewritten, written))}.")
    return Thresholds(unit=unit, bounds=Bounds())


def _chosen_on(thresholds: MapReader) -> ChosenOn | None:
    value = thresholds.get("chosen_on")
    if value is None:
        return None
    if not value.is_map:
        return ChosenOn(digest=DIGEST_TEXT.read(value) or DIGEST_TEXT.stand_in)
    fields = MapReader(value, CHOSEN_ON)
    chosen = ChosenOn(**fields.plain())
    if chosen.by is By.HAND:
        fields.need("reason")
    return chosen


def _overrides(concept: MapReader, thresholds: Thresholds | None) -> dict[str, Override]:
    overrides = {name.text: _override(inner, thresholds) for name, inner in concept.entries("contexts")}
    value = concept.get("contexts")
    if value and thresholds is None and any(each != Override(mode=each.mode) for each in overrides.values()):
        message = "Bounds of a context need thresholds to override, and a unit."
        value.error("context-without-thresholds", message, f"Add `thresholds: {concept.offer('thresholds')}`.")
    return overrides


def _meant_mode(value: Value) -> str | None:
    """Return the mode that an override means by `allowed`, `{allowed: true}` or `{verdict: allow}`."""
    habits = {**(MODE.habits or {}), **{word: word for word in MODE.words}}
    if not value.is_map:
        return habits.get(value.word.casefold())
    if len(value.keys) != 1 or value.keys[0] in OVERRIDE.names:
        return None
    key, word = value.keys[0].casefold(), value.peek(value.keys[0]).casefold()
    if word in ("true", "yes", "on"):
        return habits.get(key)
    return habits.get(word) if key in ("verdict", "action", "decision", "result", "status") else None


def _override(value: Value, thresholds: Thresholds | None) -> Override:
    if meant := _meant_mode(value):
        message = f"{value.name} says in other words what `mode` says."
        value.error("unknown-value", message, f"Write {value.rewritten(f'{{mode: {meant}}}')}.")
        return Override(mode=MODE.words[meant])
    fields = MapReader(value, OVERRIDE)
    if not fields.complete:
        value.error("no-bound", "This override changes nothing.", "Add `review:`, `block:` or `mode:`, or delete it.")
    bounds = read_bounds(fields, thresholds.unit if thresholds else None, inherited=True)
    override = Override(review=bounds.review, block=bounds.block, mode=fields.read("mode"))
    if thresholds:
        check_override(value, thresholds.bounds, override)
    return override
