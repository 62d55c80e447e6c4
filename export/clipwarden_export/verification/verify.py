"""A candidate's encoders and the evidence in, figures for every execution provider out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clipwarden.errors import ModelError
from clipwarden.modelfolder.encoder import ImageEncoder, TextEncoder
from clipwarden.modelfolder.manifest import Precision, Preprocessing
from clipwarden.modelfolder.runtime import CPU_PROVIDER, import_onnxruntime
from clipwarden.modelfolder.tokenizer import Tokenizer
from clipwarden.policy.bundle.embedding import Facts
from clipwarden_export.verification.background import background_texts
from clipwarden_export.verification.compare import (
    BARS,
    Bar,
    Figures,
    PromptFigures,
    compare,
    compare_prompts,
    prompt_shortfalls,
    shortfalls,
)
from clipwarden_export.verification.decisions import TextVectors, agreement, decide
from clipwarden_export.verification.evidence import Evidence, prepare_images

_BATCH = 16
# Only providers that compute here; Azure's forwards to a service.
_LOCAL = (CPU_PROVIDER, "CUDAExecutionProvider", "ROCMExecutionProvider", "CoreMLExecutionProvider")


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoders:
    """A candidate's two encoders on one provider."""

    image: ImageEncoder
    text: TextEncoder

    @cached_property
    def background(self) -> NDArray[np.float32]:
        """Vectors of the background texts, float32 [K,D]; embedded once, for the comparison and for the folder."""
        return self.text.embed(background_texts())


OpenEncoders = Callable[[str], Encoders]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Candidate:
    """What is to be compared with its origin.

    Attributes:
        open: Opens both encoders on the execution provider of that name.
        preprocessing: Its own.
        precision: Whose bar applies.
        facts: What policies read of its manifest.
        refit: The user will fit thresholds again for this model, so moved cosines to prompts are no obstacle.
    """

    open: OpenEncoders
    preprocessing: Preprocessing
    precision: Precision
    facts: Facts
    refit: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderReport:
    """What one execution provider answered."""

    images: Figures
    texts: Figures
    prompts: PromptFigures
    decision_agreement: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The outcome of a verification.

    Attributes:
        precision: Whose bar applies.
        providers: Figures of each execution provider that ran.
        skipped: Providers that did not start, and why.
        token_mismatches: Texts whose token ids differ from the origin's.
        shortfalls: One sentence for each figure below the bar; empty when the candidate passes.
        notes: What the user accepted beforehand.
    """

    precision: Precision
    providers: Mapping[str, ProviderReport]
    skipped: Mapping[str, str] = field(default_factory=dict)
    token_mismatches: tuple[str, ...] = ()
    shortfalls: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is below the bar."""
        return not self.shortfalls

    def as_dict(self) -> dict[str, object]:
        """Return plain values for model.json and `--json`."""
        return {
            "passed": self.passed,
            "shortfalls": list(self.shortfalls),
            "notes": list(self.notes),
            "bar": asdict(BARS[self.precision]),
            "token_mismatches": list(self.token_mismatches),
            "providers": {
                name: {
                    "images": part.images.as_dict(),
                    "texts": part.texts.as_dict(),
                    "prompts": asdict(part.prompts),
                    **_optional("decision_agreement", part.decision_agreement),
                }
                for name, part in self.providers.items()
            },
            "skipped": dict(self.skipped),
        }


def present_providers() -> list[str]:
    """List the execution providers of this onnxruntime that compute on this machine."""
    available = import_onnxruntime().get_available_providers()
    return [name for name in _LOCAL if name in available]


def verify_candidate(candidate: Candidate, evidence: Evidence, *, providers: Sequence[str] = ()) -> Report:
    """Compare a candidate with the origin's answers on every execution provider present.

    Args:
        candidate: Graphs, tokenizer and settings.
        evidence: Inputs and reference answers.
        providers: Names, each of which must start; empty takes those present, of which only the CPU must.

    Returns:
        The report.

    Raises:
        ModelError: A provider that must run the candidate cannot.
        EncoderError: An encoder failed.
        PolicyError: The evidence's policy has a text that the candidate's tokenizer truncates.
    """
    pixels = prepare_images(evidence.images, candidate.preprocessing)
    reports: dict[str, ProviderReport] = {}
    skipped: dict[str, str] = {}
    mismatches: tuple[str, ...] = ()
    for name in providers or present_providers():
        try:
            encoders = candidate.open(name)
        except ModelError as exc:
            if providers or name == CPU_PROVIDER:
                raise
            skipped[name] = str(exc)
            continue
        reports[name] = _measure(encoders, evidence, pixels, candidate.facts)
        mismatches = _token_mismatches(encoders.text.tokenizer, evidence)
    shortfalls, moved = _judge(reports, mismatches, BARS[candidate.precision])
    return Report(
        precision=candidate.precision,
        providers=reports,
        skipped=skipped,
        token_mismatches=mismatches,
        shortfalls=tuple(shortfalls if candidate.refit else shortfalls + moved),
        notes=tuple(moved if candidate.refit else ()),
    )


def _measure(encoders: Encoders, evidence: Evidence, pixels: NDArray[np.uint8], facts: Facts) -> ProviderReport:
    # A few at a time, so that large encoders fit into memory.
    images = np.concatenate(
        [encoders.image.encode(part) for part in np.split(pixels, range(_BATCH, len(pixels), _BATCH))]
    )
    own = evidence.prompts == background_texts()
    prompts = encoders.background if own else encoders.text.embed(evidence.prompts)
    return ProviderReport(
        images=compare(evidence.image_vectors, images),
        texts=compare(evidence.text_vectors, encoders.text.embed(evidence.texts)),
        prompts=compare_prompts((evidence.image_vectors, images), (evidence.prompt_vectors, prompts)),
        decision_agreement=_decision_agreement(encoders, evidence, facts, images, prompts),
    )


def _decision_agreement(
    encoders: Encoders, evidence: Evidence, facts: Facts, images: NDArray[np.float32], prompts: NDArray[np.float32]
) -> float | None:
    if evidence.policy is None:
        return None
    ours = TextVectors(
        facts=facts,
        tokenizer=encoders.text.tokenizer,
        texts=evidence.prompts,
        vectors=prompts,
        background=encoders.background,
    )
    theirs = replace(ours, vectors=evidence.prompt_vectors, background=evidence.background_vectors)
    return agreement(decide(evidence.policy, theirs, evidence.image_vectors), decide(evidence.policy, ours, images))


def _optional(name: str, value: float | None) -> dict[str, float]:
    return {} if value is None else {name: value}


def _token_mismatches(tokenizer: Tokenizer, evidence: Evidence) -> tuple[str, ...]:
    pairs = zip(evidence.texts, evidence.token_ids, strict=True)
    return tuple(text for text, ids in pairs if not np.array_equal(tokenizer.encode(text)[0], ids))


def _judge(reports: Mapping[str, ProviderReport], mismatches: Sequence[str], bar: Bar) -> tuple[list[str], list[str]]:
    """Return what is below the bar, and apart from it what fitting thresholds again would mend."""
    found, moved = [], []
    if mismatches:
        found.append(f"{len(mismatches)} texts tokenise differently from the checkpoint, such as {mismatches[0]!r}.")
    for name, report in reports.items():
        found += shortfalls(f"images on {name}", report.images, bar)
        found += shortfalls(f"texts on {name}", report.texts, bar)
        moved += prompt_shortfalls(f"prompts on {name}", report.prompts, bar)
    return found, moved
