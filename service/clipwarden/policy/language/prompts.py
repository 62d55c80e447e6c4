"""Read prompts and negatives: texts, weighted texts, and learned vectors in their place."""

from clipwarden.policy.language.learned import LearnedError, LearnedSource
from clipwarden.policy.schema import LearnedVector, Method, Phrase, Pool, Prompt
from clipwarden.textfiles.findings import Findings
from clipwarden.textfiles.maps import Fields
from clipwarden.textfiles.values import Value

MAX_PROMPTS = 256
"""Most prompts, or negatives, of one concept; a staff member has to be able to read them."""
MAX_WEIGHT = 1000.0
"""A weight is a share; three orders of magnitude already drop a prompt."""

PROMPTS_EXAMPLE = '["a rifle or shotgun"]'
NEGATIVES_EXAMPLE = '["a toy water gun"]'

_VECTOR_KEYS = {"vector": "concept_07", "file": "concepts.safetensors"}
_PROMPT_KEYS = {"text": '"a rifle or shotgun"', "weight": "1.0", **_VECTOR_KEYS}
_LONGEST_NAME = 200


class PromptReader:
    """Reads both lists of a concept.

    After a finding it returns a stand-in (an empty text), as `ConceptReader` does.

    Args:
        vectors: Where learned vectors are found.
        findings: Receives what is wrong.
    """

    def __init__(self, vectors: LearnedSource, findings: Findings) -> None:
        self._vectors = vectors
        self._findings = findings

    def prompts(self, value: Value | None, pool: Pool | None) -> tuple[Prompt, ...]:
        """Read `prompts`; weights are refused under `pool: max`."""
        if value is None:
            return ()
        items = value.items(least=1, most=MAX_PROMPTS, example=PROMPTS_EXAMPLE)
        return tuple(self._prompt(item, pool) for item in items)

    def negatives(self, value: Value | None, method: Method | None) -> tuple[Phrase, ...]:
        """Read `negatives`; refused but under `method: margin`."""
        if value is None:
            return ()
        items = value.items(most=MAX_PROMPTS, example=NEGATIVES_EXAMPLE)
        if method in (Method.COSINE, Method.HEAD):
            message = f"Negatives do nothing under `method: {method}`."
            value.error(f"negatives-under-{method}", message, "Delete them, or write `scoring: {method: margin}`.")
        return tuple(self._negative(item) for item in items)

    def _prompt(self, value: Value, pool: Pool | None) -> Prompt:
        if not value.is_map:
            return Prompt(text=_text(value))
        fields = Fields(value, _PROMPT_KEYS, self._findings)
        weight = fields.get("weight")
        share = weight and weight.number(low=0.0, high=MAX_WEIGHT, open_ends=True)
        if weight and pool is Pool.MAX:
            message = "A weight does nothing under `pool: max`, where the best prompt alone counts."
            weight.error("weight-under-max", message, "Delete the weight, or write `scoring: {pool: mean}` or `lse`.")
        return Prompt(text=self._phrase(fields), weight=share or 1.0)

    def _negative(self, value: Value) -> Phrase:
        return self._vector(Fields(value, _VECTOR_KEYS, self._findings)) if value.is_map else _text(value)

    def _phrase(self, fields: Fields) -> Phrase:
        text, vector = fields.get("text"), fields.get("vector") or fields.get("file")
        if vector is None:
            text = fields.need("text")
            return _text(text) if text else ""
        if text is not None:
            message = "This prompt is a text and a vector; it can be one of them."
            vector.error("text-and-vector", message, "Make it two prompts, or delete one of the two.")
            return ""
        return self._vector(fields)

    def _vector(self, fields: Fields) -> LearnedVector | str:
        name_value, file_value = fields.need("vector"), fields.need("file")
        name = name_value and name_value.text(example=_VECTOR_KEYS["vector"], limit=_LONGEST_NAME)
        file = file_value and file_value.text(example=_VECTOR_KEYS["file"])
        if not (name_value and file_value and name and file):
            return ""
        place = file_value
        try:
            found = self._vectors.open(file)
            place = name_value
            return found.vector(name)
        except LearnedError as error:
            place.error(error.code, error.message, error.fix)
            return ""


def _text(value: Value) -> str:
    text = value.text(example='"a rifle or shotgun"')
    if text and "{}" in text:
        value.error(
            "bad-prompt", f'The prompt "{text}" holds {{}}, which only templates do.', "Move it to `templates`."
        )
    return text or ""
