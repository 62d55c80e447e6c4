"""open_clip's two kinds of tokenizer in, one tokenizer.json out.

Both clean their text first with ftfy and `html.unescape`, which no normaliser of the `tokenizers` library offers. What
matters for prompts is rebuilt here from ftfy's own tables: quotes, ligatures, full-width letters, control characters,
NFC, and the common HTML entities. Not rebuilt: the mending of mojibake, and rarer entities; text that needs either
tokenises differently, and the verification's texts would show anything else that does.
"""

from typing import Any

import ftfy.chardata
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from clipwarden_export.errors import SourceError

# Twice, as open_clip unescapes twice: "&amp;amp;" is "&".
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&apos;": "'", "&nbsp;": " ", "&amp;": "&"}
# ftfy's fix_line_breaks and Python's str.split, which open_clip joins again with single blanks.
_BLANKS = r"[\s\x1c-\x1f\x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
_WORDS = r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def tokenizer_json(tokenizer: Any) -> bytes:  # noqa: ANN401
    """Rebuild an open_clip tokenizer as a tokenizer.json.

    Args:
        tokenizer: What `open_clip.get_tokenizer` returns.

    Returns:
        JSON for the `tokenizers` library.

    Raises:
        SourceError: A kind of tokenizer, or of cleaning, that has no equal.
    """
    drops_words = getattr(tokenizer, "reduction_fn", None) is not None
    if drops_words or bool(getattr(tokenizer, "tokenizer_mode", None)):
        msg = "This open_clip tokenizer drops words or builds its ids in a way of its own; it has no tokenizer.json."
        raise SourceError(msg)
    cleaning = _cleaning(tokenizer.clean_fn.__name__)
    if hasattr(tokenizer, "bpe_ranks"):
        return str(_from_simple(tokenizer, cleaning).to_str()).encode()
    return _from_huggingface(tokenizer.tokenizer, cleaning)


def pad_id(tokenizer: Any) -> int:  # noqa: ANN401
    """Tell which id fills the context: 0 for open_clip's own tokenizer."""
    return 0 if hasattr(tokenizer, "bpe_ranks") else int(tokenizer.tokenizer.pad_token_id)


def _cleaning(name: str) -> list[Any]:
    steps = [*_ftfy_steps(), *_unescape_steps(), *_unescape_steps()]
    squeeze = [normalizers.Replace(Regex(_BLANKS), " "), normalizers.Strip()]
    if name == "_clean_lower":
        return [*steps, *squeeze, normalizers.Lowercase()]
    if name == "_clean_whitespace":
        return [*steps, *squeeze]
    if name == "_clean_canonicalize":
        punctuation = normalizers.Replace(Regex(r"[!-/:-@\[-`{-~]"), "")
        return [*steps, normalizers.Replace("_", " "), punctuation, normalizers.Lowercase(), *squeeze]
    msg = f"open_clip cleans this checkpoint's text with {name}, which the exporter does not know."
    raise SourceError(msg)


def _unescape_steps() -> list[Any]:
    return [normalizers.Replace(entity, character) for entity, character in _ENTITIES.items()]


def _ftfy_steps() -> list[Any]:
    """Rebuild ftfy.fix_text's character-wise fixes, in its order."""
    table = ftfy.chardata
    removed = "".join(f"\\x{{{code:x}}}" for code, to in table.CONTROL_CHARS.items() if to is None)
    letters = {**table.LIGATURES, **table.WIDTH_MAP}
    return [
        *(normalizers.Replace(chr(code), str(letter)) for code, letter in letters.items()),
        normalizers.Replace(Regex(table.SINGLE_QUOTE_RE.pattern), "'"),
        normalizers.Replace(Regex(table.DOUBLE_QUOTE_RE.pattern), '"'),
        normalizers.Replace(Regex(f"[{removed}]"), ""),
        normalizers.NFC(),
    ]


def _from_simple(tokenizer: Any, cleaning: list[Any]) -> Tokenizer:  # noqa: ANN401
    """Rebuild SimpleTokenizer: OpenAI's byte-level BPE, start and end of text around every prompt."""
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    start, end = "<start_of_text>", "<end_of_text>"
    raw = Tokenizer(models.BPE(vocab=dict(tokenizer.encoder), merges=merges, end_of_word_suffix="</w>", unk_token=end))
    raw.normalizer = normalizers.Sequence(cleaning)
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    # normalized: open_clip looks for them after it has lower-cased the text.
    raw.add_special_tokens([AddedToken(token, normalized=True, special=True) for token in (start, end)])
    raw.post_processor = processors.RobertaProcessing(
        (end, tokenizer.eot_token_id), (start, tokenizer.sot_token_id), trim_offsets=False, add_prefix_space=False
    )
    return raw


def _from_huggingface(tokenizer: Any, cleaning: list[Any]) -> bytes:  # noqa: ANN401
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        msg = f"{type(tokenizer).__name__} has no tokenizer.json; save the checkpoint with a tokenizers-backed class."
        raise SourceError(msg)
    raw = Tokenizer.from_str(backend.to_str())
    own = [raw.normalizer] if raw.normalizer is not None else []
    raw.normalizer = normalizers.Sequence([*cleaning, *own])
    return str(raw.to_str()).encode()
