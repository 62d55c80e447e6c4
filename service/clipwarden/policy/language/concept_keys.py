"""The keys that categories and attributes share, each with its range, default, example and help; see `keys`."""

import re
from dataclasses import replace

from clipwarden.policy.language.kinds import Choice, Number, Shape, Text, Texts
from clipwarden.policy.language.learned import MAX_FILE_BYTES, MAX_HEAD_BYTES
from clipwarden.policy.language.tables import Key, Keys, ListOf, Map, Misuse, TextOrMap
from clipwarden.policy.methods import METHODS
from clipwarden.policy.schema import (
    Calibration,
    Pool,
    Waivable,
)

MAX_PROMPTS = 256
"""Most prompts, or negatives, of one concept; a staff member has to be able to read them."""
MAX_WEIGHT = 1000.0
"""A weight is a share; three orders of magnitude already drop a prompt."""
MAX_TEMPLATES = 64
"""Most templates of a category; the largest published CLIP ensemble for photographs is pruned to 7 of 80."""
MAX_WAIVERS = 16
"""Most approvals of a category; each may name many texts."""
MAX_BIAS = 1000.0
"""Logits; a sigmoid is 0 or 1 in double precision beyond 750."""
MAX_SLOPE = 1000.0
"""Likewise: a hundredth of a logit is then all or nothing."""

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
    rule="lower-case letters, digits and `_`, at most 64, starting with a letter",
    aside="dots group",
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

TEMPLATES = Texts(
    example='["{}", "a photo of {}"]', item=Text(example='"a photo of {}"', shape=_TEMPLATE), most=MAX_TEMPLATES
)


PROMPT_TEXT = Text(example='"a rifle or shotgun"', shape=_NO_SLOT, whole=True)
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
            help="a safetensors file beside the policy or in a folder below it, at most "
            f"{MAX_FILE_BYTES >> 20} MiB; the path starts at "
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
            misuse=Misuse(
                code="pool-under-{method}",
                message="Under `method: {method}` there are no prompts to pool.",
                fix="Delete the pool.",
            ),
        ),
        Key(
            name="file",
            kind=Text(example="nsfw-head.safetensors"),
            help="the trained network: a safetensors file beside the policy or in a folder below it, at most "
            f"{MAX_HEAD_BYTES >> 20} MiB as float32",
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
            name="slope",
            kind=Number(example="0.4", low=0.0, high=MAX_SLOPE, open_low=True, open_high=True),
            help="`a` in `score = sigmoid(a * margin + b)`, for a head of `sigmoid(a * logit + b)`; no unit",
            absent="the model's `calibration_scale`; for a head 1",
        ),
        Key(
            name="bias",
            kind=Number(example="-2.1", low=-MAX_BIAS, high=MAX_BIAS),
            help="`b` in the same, in logits",
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
            help="digest of what the fit depended on: model, calibration scale (of a margin without a slope), views, "
            "prompts, negatives, templates (where there are texts), method, pool, head; of learned vectors their "
            "numbers, not their names",
            required=True,
        ),
    )
)

SAID = Shape(
    pattern=re.compile(r"(?!(?:[xX]+|[tT][oO][dD][oO]|[tT][bB][dD])?[\s.…?!:*_—-]*$)[\s\S]*"),
    code="placeholder",
    rule='words, not "...", "?", "x" or "TODO"',
    fix="Say it in words: people who read this later have nothing else to go by.",
)
"""Lint offers lines with dots to fill in, and a line that is pasted as it is would name nobody."""

WAIVER = Keys(
    keys=(
        Key(
            name="rule",
            kind=Choice(
                example="identity",
                words={rule.value: rule for rule in Waivable},
                help={"identity": "a prompt names who somebody is"},
            ),
            help="the rule that is waived here; `minors` never is",
            required=True,
        ),
        Key(
            name="texts",
            kind=Texts(example='["..."]', item=Text(example='"..."'), most=MAX_PROMPTS),
            help="the prompts and templates that it lets stand, as they are written; a prompt in all of its templates",
            required=True,
        ),
        Key(
            name="reason",
            kind=Text(example='"..."', shape=SAID),
            help="why it may stand all the same",
            required=True,
        ),
        Key(name="approved_by", kind=Text(example='"..."', shape=SAID), help="who answers for it", required=True),
    )
)

SHARED = (
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
        misuse=Misuse(
            code="prompts-under-{method}", message="Prompts do nothing under `method: {method}`.", fix=_NO_TEXTS
        ),
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
            code="templates-under-{method}",
            message="Templates do nothing under `method: {method}`.",
            fix="Delete them.",
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
        kind=Map(
            example='{slope: 0.4, bias: -2.1, prevalence: 0.01, fitted_on: "sha256:..."}',
            keys=CALIBRATION,
            make=Calibration,
        ),
        help="what makes scores probabilities; fitted on labelled images",
        misuse=Misuse(
            code="calibration-under-{method}",
            message="A calibration does nothing under `method: {method}`, whose number is compared as it is.",
            fix="Delete it, or write `scoring: {{method: margin}}`.",
        ),
    ),
    Key(
        name="waive",
        kind=ListOf(
            example='[{rule: identity, texts: ["..."], reason: "...", approved_by: "..."}]',
            item=Map(example='{rule: identity, texts: ["..."], reason: "...", approved_by: "..."}', keys=WAIVER),
            most=MAX_WAIVERS,
        ),
        help="rules of lint that do not hold for some texts, by somebody's approval",
    ),
)
ID = Key(
    name="id",
    kind=Text(example="violence.graphic", shape=_CONCEPT_ID),
    help="its name in results, unique among categories and attributes",
    required=True,
)
ATTRIBUTE = Keys(keys=(ID, *SHARED))
