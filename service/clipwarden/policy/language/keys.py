"""Every key of the policy language, described once, for readers, writers, `lint --explain`, pages and JSON Schema."""

import re
from dataclasses import dataclass

from clipwarden.policy.language.category_keys import CATEGORY, MAX_CONTEXTS, MODE
from clipwarden.policy.language.concept_keys import ATTRIBUTE, DIGEST_TEXT, NAME, TEMPLATES
from clipwarden.policy.language.kinds import Choice, Day, Number, Shape, Text, Whole
from clipwarden.policy.language.tables import Key, Keys, ListOf, Map, MapOf
from clipwarden.policy.schema import SCHEMA_VERSION, Metadata, Mode, ModelBinding, OnTruncated, Verdict
from clipwarden.vision.plan import MAX_VIEWS, ViewPlan, Views

LATER = frozenset({"references", "lists"})
"""Keys kept free for later. Refused with their own sentence: a key that does nothing would mislead."""

MAX_CONCEPTS = 512
"""Most categories, or attributes, of one policy."""
MAX_CALIBRATION_SCALE = 1000.0
"""A scale multiplies margins already scaled by the logit scale (about 100), so real ones lie around 1."""
MAX_RESOLUTION = 10_000.0
"""Above what any model's input has in pixels; lint with a model says what its own has."""

_VERSION = Shape(
    pattern=re.compile(re.escape(SCHEMA_VERSION)),
    code="bad-version",
    rule=f"`{SCHEMA_VERSION}`",
    fix=f"Write `api: {SCHEMA_VERSION}`.",
)
_VERDICT = Choice(example="review", words={verdict.name.lower(): verdict for verdict in Verdict})
_ON_TRUNCATED = Choice(
    example="judge",
    words={choice.value: choice for choice in OnTruncated},
    # Whoever writes a verdict here means what happens to the picture; `on_partial` is where it is said.
    habits={
        "reject": "refuse",
        "error": "refuse",
        "block": "refuse",
        **dict.fromkeys(("allow", "review", "partial"), "judge"),
    },
    help={
        "refuse": "no verdict but `on_error`, as for a damaged file",
        "judge": "by the rows that are there, and at least `on_partial`",
    },
)
_VIEWS = Choice(
    example="auto",
    words={choice.value: choice for choice in Views},
    habits={
        **dict.fromkeys(("full", "one", "crop", "centre", "center", "single"), "whole"),
        **dict.fromkeys(("all", "everything", "parts", "part", "squares", "crops", "strips"), "auto"),
        **dict.fromkeys(("quarters", "grid"), "tiles"),
    },
    help={
        "whole": "one view of the whole picture, as the model folder prepares it: under `crop` without its edges",
        "auto": "as few overlapping squares as it takes to see all of it",
        "tiles": "those, and of large pictures closer looks besides: quarters and the centre",
    },
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """What categories and attributes fall back to, and what holds for the whole policy."""

    mode: Mode = Mode.SHADOW
    views: Views = Views.WHOLE
    frames: int = 1
    least_coverage: float | None = None
    least_resolution: float | None = None
    on_error: Verdict = Verdict.REVIEW
    on_partial: Verdict = Verdict.REVIEW
    on_truncated: OnTruncated = OnTruncated.REFUSE
    templates: tuple[str, ...] = ("{}",)

    @property
    def plan(self) -> ViewPlan:
        """Which views and frames are looked at."""
        return ViewPlan(views=self.views, frames=self.frames)


METADATA = Keys(
    keys=(
        Key(name="id", kind=Text(example="default", shape=NAME), help="the name that requests use", required=True),
        Key(
            name="version",
            kind=Text(example='"1.0.0"'),
            help="text **in quotes** (`1.10` without quotes is the number 1.1)",
        ),
        Key(name="owner", kind=Text(example="trust-and-safety@example.com"), help="whom to ask"),
        Key(name="reason", kind=Text(example='"first version"'), help="why this version says what it says"),
        Key(name="author", kind=Text(example="sam@example.com"), help="who wrote this version"),
        Key(name="approved_by", kind=Text(example="kim@example.com"), help="who else stands for this version"),
        Key(name="review_by", kind=Day(example="2027-06-01"), help="date; afterwards lint and server warn"),
    )
)

MODEL = Keys(
    keys=(
        Key(
            name="fingerprint",
            kind=DIGEST_TEXT,
            help="the model; any other is refused. `clipwarden models` prints it",
            absent="none; required once a category is enforced",
        ),
        Key(
            name="calibration_scale",
            kind=Number(example="1.0", low=0.0, high=MAX_CALIBRATION_SCALE, open_low=True, open_high=True),
            help="`a` in `score = sigmoid(a * margin + b)`, where a category's calibration has no slope; no unit",
            default=1,
        ),
    )
)

DEFAULTS = Keys(
    keys=(
        Key(name="mode", kind=MODE, help="what a category's `mode` is if it gives none", default="shadow"),
        Key(
            name="views",
            kind=_VIEWS,
            help="which parts of a picture are looked at; calibrations and thresholds hold for one choice alone",
            default="whole",
        ),
        Key(
            name="frames",
            kind=Whole(example="16", low=1, high=MAX_VIEWS),
            help="most frames judged of an animation, those that differ most first; numbers hold for one choice alone",
            default=1,
        ),
        Key(
            name="least_coverage",
            kind=Number(example="0.9", low=0.0, high=1.0, open_low=True),
            help="a picture of whose area the views show less is partial; a share",
            absent="none: told, and never partial by it",
        ),
        Key(
            name="least_resolution",
            kind=Number(example="100", low=0.0, high=MAX_RESOLUTION, open_low=True),
            help="a picture to whose shorter side the views give less is partial; in pixels of the model's input",
            absent="none: told, and never partial by it",
        ),
        Key(
            name="on_error",
            kind=_VERDICT,
            help="verdict for an image, or an enforced category, that cannot be judged",
            default="review",
        ),
        Key(
            name="on_partial",
            kind=_VERDICT,
            help="the least verdict when not all of an image was seen: frames, parts, rows that a cut file lacks, HDR, "
            "or less than `least_coverage` or `least_resolution` asks for",
            default="review",
        ),
        Key(
            name="on_truncated",
            kind=_ON_TRUNCATED,
            help="what to do with a file that ends too early; `judge` goes by the rows that are there, as partial",
            default="refuse",
        ),
        Key(name="templates", kind=TEMPLATES, help="sentences with `{}` where a prompt goes", default=["{}"]),
    )
)

CONTEXT = Keys(
    keys=(
        Key(
            name="description",
            kind=Text(example='"licensed sporting-goods listings"'),
            help="what is shown there",
            required=True,
        ),
    )
)


POLICY = Keys(
    keys=(
        Key(
            name="api",
            kind=Text(example=SCHEMA_VERSION, shape=_VERSION),
            help="version of this language",
            required=True,
        ),
        Key(
            name="metadata",
            kind=Map(example="{id: default}", keys=METADATA, make=Metadata),
            help="who keeps this policy and why",
            required=True,
        ),
        Key(
            name="model",
            kind=Map(example='{fingerprint: "sha256:..."}', keys=MODEL, make=ModelBinding),
            help="the model that the numbers were chosen on",
        ),
        Key(
            name="defaults",
            kind=Map(example="{mode: shadow}", keys=DEFAULTS, make=Defaults),
            help="what applies where a category says nothing",
            absent="see below",
        ),
        Key(
            name="contexts",
            kind=MapOf(
                example='{shop: {description: "what is sold here"}}',
                item=Map(example='{description: "what is sold here"}', keys=CONTEXT),
                names=NAME,
                most=MAX_CONTEXTS,
            ),
            help="surfaces or tenants that may override thresholds and modes",
        ),
        Key(
            name="categories",
            kind=ListOf(
                example="[{id: weapons, ...}]",
                item=Map(example="{id: weapons, ...}", keys=CATEGORY),
                least=1,
                most=MAX_CONCEPTS,
            ),
            help="kinds of harm",
            required=True,
        ),
        Key(
            name="attributes",
            kind=ListOf(
                example='[{id: museum, prompts: ["a museum exhibit"]}]',
                item=Map(example='{id: museum, prompts: ["a museum exhibit"]}', keys=ATTRIBUTE),
                most=MAX_CONCEPTS,
            ),
            help="things scored and reported, never enforced",
        ),
    )
)
