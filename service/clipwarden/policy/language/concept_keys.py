"""The keys of categories and attributes, with their ranges, defaults, examples and help; see `keys`."""

import re
from dataclasses import replace

from clipwarden.policy.language.kinds import Choice, Number, Shape, Text, Texts, Whole
from clipwarden.policy.language.tables import Key, Keys, ListOf, Map, MapOf, Misuse, TextOrMap
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import (
    Calibration,
    Effect,
    Mode,
    Pool,
    Unit,
)

MAX_SEVERITY = 4
MAX_PROMPTS = 256
"""Most prompts, or negatives, of one concept; a staff member has to be able to read them."""
MAX_WEIGHT = 1000.0
"""A weight is a share; three orders of magnitude already drop a prompt."""
MAX_TEMPLATES = 64
"""Most templates of a category; the largest published CLIP ensemble for photographs is pruned to 7 of 80."""
MAX_CONTEXTS = 256
"""Most declared contexts; each is a surface or tenant that somebody reviews by hand."""
MAX_CONDITIONS = 512
"""Most exemptions, or adjustments, of one category: as many as there may be attributes."""
MAX_ADJUSTMENT = 1.0
"""Largest `add`, half of the range of cosines. The Stable Diffusion safety checker's is 0.01."""
MAX_BIAS = 1000.0
"""Logits; a sigmoid is 0 or 1 in double precision beyond 750."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

DIGEST_TEXT = Text(
    example='"sha256:..."',
    shape=Shape(
        pattern=DIGEST,
        code="bad-digest",
        rule="`sha256:` and 64 hexadecimal digits in lower case",
        fix=f'Write, for example, "sha256:{"0" * 8}...".',
    ),
)
NAME = Shape(
    pattern=re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}"),
    code="bad-id",
    rule="lower-case letters, digits, `-`, `_` and `.`, at most 64, starting with a letter or digit",
)
_CONCEPT_ID = Shape(
    pattern=re.compile(r"(?=.{1,64}$)[a-z][a-z0-9_]*(\.[a-z0-9_]+)*"),
    code="bad-id",
    rule="lower-case letters, digits and `_`, at most 64, starting with a letter; dots group",
)
_TEMPLATE = Shape(
    pattern=re.compile(r"[^{}]*\{\}[^{}]*"),
    code="bad-template",
    rule="a text that holds {} exactly once, where the prompt goes, and no other braces",
)
_NO_SLOT = Shape(
    pattern=re.compile(r"(?:(?!\{\})[\s\S])*"),
    code="bad-prompt",
    rule="a text without {}, which only templates hold",
    fix="Move it to `templates`.",
)

MODE = Choice(
    example="shadow",
    words={mode.value: mode for mode in Mode},
    habits={
        **dict.fromkeys(("off", "false", "no", "none", "inactive"), "disabled"),
        **dict.fromkeys(("on", "true", "yes", "active", "enabled", "block"), "enforce"),
        **dict.fromkeys(("monitor", "log", "audit", "dry-run", "dry_run"), "shadow"),
    },
)
TEMPLATES = Texts(
    example='["{}", "a photo of {}"]', item=Text(example='"a photo of {}"', shape=_TEMPLATE), most=MAX_TEMPLATES
)


BOUND = Number(example="0.55", low=-1.0, high=1.0)
"""The wider range, which holds while the unit is unknown."""

PROMPT_TEXT = Text(example='"a rifle or shotgun"', shape=_NO_SLOT)
_NO_TEXTS = "Delete them, or write `scoring: {{method: margin}}`."
VECTOR = Keys(
    keys=(
        Key(
            name="vector",
            kind=Text(example="concept_07", limit=200),
            help="the tensor's name in the file; float32 or float16 of the shape [D], where D is the width of the "
            "model's vectors",
            required=True,
        ),
        Key(
            name="file",
            kind=Text(example="concepts.safetensors"),
            help="a safetensors file beside the policy or in a folder below it, at most 64 MiB; the path starts at "
            "the policy's folder",
            required=True,
        ),
    )
)

PROMPT = Keys(
    keys=(
        Key(
            name="text",
            kind=PROMPT_TEXT,
            help="what can be seen, in words",
            absent="required, or else `vector` and `file`",
        ),
        Key(
            name="weight",
            kind=Number(example="1.0", low=0.0, high=MAX_WEIGHT, open_low=True, open_high=True),
            help="its share among the prompts: only proportions matter. Refused under `pool: max`, where it would do "
            "nothing",
            default=1,
        ),
        *(replace(key, required=False, absent="none; instead of `text`") for key in VECTOR),
    ),
    any_of=(("text",), VECTOR.names),
    exclusive=True,
)

SCORING = Keys(
    keys=(
        Key(
            name="method",
            kind=Choice(
                example="margin",
                words={method.value: method for method in METHODS},
                habits={"softmax": "margin", "similarity": "cosine", "mlp": "head", "classifier": "head"},
                help={method.value: facts.help for method, facts in METHODS.items()},
            ),
            help="how a number comes about that thresholds compare with",
            default="margin",
        ),
        Key(
            name="pool",
            kind=Choice(
                example="max",
                words={pool.value: pool for pool in Pool},
                habits={"maximum": "max", "average": "mean", "logsumexp": "lse"},
                help={
                    "max": "the best one. Adding a prompt never lowers a score, and the result names the winner",
                    "lse": "a soft maximum that also listens to the runners-up",
                    "mean": "the weighted average. For prompts that describe one thing from several sides",
                },
            ),
            help="how several prompts become one number",
            default="max",
            misuse=Misuse(code="pool-under-head", message="A head has no prompts to pool.", fix="Delete the pool."),
        ),
        Key(
            name="file",
            kind=Text(example="nsfw-head.safetensors"),
            help="the trained network: a safetensors file beside the policy or in a folder below it, at most 64 MiB",
            required=True,
            misuse=Misuse(
                code="file-without-head",
                message="A file does nothing under `method: {method}`.",
                fix="Delete it, or write `method: head`.",
            ),
        ),
    )
)

CALIBRATION = Keys(
    keys=(
        Key(
            name="bias",
            kind=Number(example="-2.1", low=-MAX_BIAS, high=MAX_BIAS),
            help="`b` in `score = sigmoid(a * margin + b)`, for a head `sigmoid(logit + b)`, in logits",
            required=True,
        ),
        Key(
            name="prevalence",
            kind=Number(example="0.01", low=0.0, high=1.0, open_low=True, open_high=True),
            help="share of harmful images in the data that it was fitted on; scores are probabilities at that share",
            required=True,
        ),
        Key(
            name="fitted_on",
            kind=DIGEST_TEXT,
            help="digest of what the fit depended on: model, calibration scale (but for a head), prompts, negatives, "
            "templates (where there are texts), method, pool, head; of learned vectors their numbers, not their names",
            required=True,
        ),
    )
)

_BY_UNIT = "0 to 1 for `score`, -1 to 1 for `cosine`"
THRESHOLDS = Keys(
    keys=(
        Key(
            name="unit",
            kind=Choice(
                example="score",
                words={unit.value: unit for unit in Unit},
                habits={"probability": "score", "percent": "score"},
            ),
            help="must match the method, so that nobody reads 0.25 as the wrong thing",
            required=True,
        ),
        Key(name="review", kind=BOUND, help="lower end of the review band, inclusive", narrower=_BY_UNIT),
        Key(
            name="block",
            kind=replace(BOUND, example="0.92"),
            help="lower end of the block band, inclusive; above `review`",
            narrower=_BY_UNIT,
        ),
    ),
    any_of=(("review",), ("block",)),
)
OVERRIDE = Keys(
    keys=tuple(replace(key, absent="as in `thresholds`") for key in THRESHOLDS if key.name != "unit"),
    any_of=THRESHOLDS.any_of,
)

WHEN = Keys(
    keys=(
        Key(name="attribute", kind=Text(example="museum"), help="id of an attribute", required=True),
        Key(
            name="gte",
            kind=Number(example="0.8", low=-1.0, high=1.0),
            help="what its number, or for an adjustment its cosine, must at least be",
            required=True,
            narrower="0 to 1, or -1 to 1 for an attribute under `method: cosine`",
        ),
    )
)
_WHEN = Map(example="{attribute: museum, gte: 0.8}", keys=WHEN)
EXEMPTION = Keys(
    keys=(
        Key(name="when", kind=_WHEN, help="the attribute that exempts, and from which number on", required=True),
        Key(
            name="effect",
            kind=Choice(
                example="block_to_review",
                words={effect.value: effect for effect in Effect},
                habits={"allow": "block_to_review", "review": "block_to_review"},
            ),
            help="a block by this category becomes a review, in the same view of the image",
            default="block_to_review",
        ),
    )
)
ADJUSTMENT = Keys(
    keys=(
        Key(name="when", kind=_WHEN, help="the attribute that raises, and from which cosine on", required=True),
        Key(
            name="add",
            kind=Number(example="0.01", low=0.0, high=MAX_ADJUSTMENT, open_low=True),
            help="added to this category's cosine, in the same view of the image",
            required=True,
        ),
    )
)

_SHARED = (
    Key(
        name="prompts",
        kind=ListOf(
            example='["a rifle or shotgun"]',
            item=TextOrMap(example='"a rifle or shotgun"', text=PROMPT_TEXT, keys=PROMPT),
            least=1,
            most=MAX_PROMPTS,
        ),
        help="what it looks like: texts, weighted texts or learned vectors",
        required=True,
        misuse=Misuse(code="prompts-under-head", message="Prompts do nothing under `method: head`.", fix=_NO_TEXTS),
    ),
    Key(
        name="negatives",
        kind=ListOf(
            example='["a toy water gun"]',
            item=TextOrMap(example='"a toy water gun"', text=PROMPT_TEXT, keys=VECTOR),
            most=MAX_PROMPTS,
        ),
        help="what is mistaken for it and excludes it: texts or learned vectors",
        misuse=Misuse(
            code="negatives-under-{method}",
            message="Negatives do nothing under `method: {method}`.",
            fix=_NO_TEXTS,
        ),
    ),
    Key(
        name="templates",
        kind=TEMPLATES,
        help="in place of `defaults.templates`",
        inherited=True,
        misuse=Misuse(
            code="templates-under-head", message="Templates do nothing under `method: head`.", fix="Delete them."
        ),
    ),
    Key(
        name="scoring",
        kind=Map(example="{method: margin, pool: max}", keys=SCORING),
        help="how a number is made of an image: a method, and what belongs to it",
        absent="`{method: margin, pool: max}`",
    ),
    Key(
        name="calibration",
        kind=Map(example='{bias: -2.1, prevalence: 0.01, fitted_on: "sha256:..."}', keys=CALIBRATION, make=Calibration),
        help="what makes scores probabilities; fitted on labelled images",
        misuse=Misuse(
            code="calibration-under-{method}",
            message="A calibration does nothing under `method: {method}`, which compares the cosine as it is.",
            fix="Delete it, or write `scoring: {{method: margin}}`.",
        ),
    ),
)
_ID = Key(
    name="id",
    kind=Text(example="violence.graphic", shape=_CONCEPT_ID),
    help="its name in results, unique among categories and attributes",
    required=True,
)
ATTRIBUTE = Keys(keys=(_ID, *_SHARED))
CATEGORY = Keys(
    keys=(
        _ID,
        Key(
            name="severity",
            kind=Whole(example="3", low=0, high=MAX_SEVERITY),
            help="how harmful, **not** how certain",
            required=True,
        ),
        Key(
            name="definition",
            kind=Text(example='"Real firearms or blades shown as weapons."'),
            help="one sentence for reviewers",
            required=True,
        ),
        Key(
            name="mode",
            kind=MODE,
            help="`shadow`: scored and reported. `enforce`: counts. `disabled`: not scored",
            inherited=True,
        ),
        *_SHARED,
        Key(
            name="thresholds",
            kind=Map(example="{unit: score, review: 0.55, block: 0.92}", keys=THRESHOLDS),
            help="from which number on an image is for review, or blocked",
            absent="none: scored, no band; required once the category is enforced",
        ),
        Key(
            name="reason_code",
            kind=Text(example="WPN-1", limit=64),
            help="text that results carry, such as a paragraph of your rules",
        ),
        Key(
            name="exemptions",
            kind=ListOf(
                example="[{when: {attribute: museum, gte: 0.8}, effect: block_to_review}]",
                item=Map(example="{when: {attribute: museum, gte: 0.8}}", keys=EXEMPTION),
                most=MAX_CONDITIONS,
            ),
            help="attributes that turn a block into a review",
        ),
        Key(
            name="contexts",
            kind=MapOf(
                example="{hunting-shop: {review: 0.8}}",
                item=Map(example="{review: 0.8}", keys=OVERRIDE),
                names=NAME,
                most=MAX_CONTEXTS,
            ),
            help="bounds that hold instead in a context, which the policy declares; needs `thresholds`",
        ),
        Key(
            name="adjustments",
            kind=ListOf(
                example="[{when: {attribute: swimwear, gte: 0.2}, add: 0.01}]",
                item=Map(example="{when: {attribute: swimwear, gte: 0.2}, add: 0.01}", keys=ADJUSTMENT),
                most=MAX_CONDITIONS,
            ),
            help="attributes that raise this category's cosine",
            misuse=Misuse(
                code="adjustments-without-cosine",
                message="Adjustments raise a cosine; under `method: {method}` there is none to raise.",
                fix="Delete them, or write `scoring: {{method: cosine}}`.",
            ),
        ),
    )
)
