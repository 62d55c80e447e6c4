"""A prompt in, L token ids and their mask out, at fixed length."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as RawTokenizer
from tokenizers.models import Unigram

from clipwarden.errors import ModelError
from clipwarden.modelfolder.manifest import TextSettings


class Tokenizer:
    """Turns texts into fixed-length ids; safe to share between threads.

    Args:
        path: A tokenizer.json of the `tokenizers` library. Padding and truncation stored in it are ignored:
            the folder's own text settings decide.
        settings: Context length L, padding id, lower-casing, mask rule.

    Raises:
        ModelError: The file is missing or not a tokenizer, or its special tokens alone fill the context.
    """

    def __init__(self, path: Path, settings: TextSettings) -> None:
        self._settings = settings
        self._whole = _load(path)
        self._cut = _load(path)
        self._unknown = _unknown_id(self._whole)
        special = self._whole.num_special_tokens_to_add(is_pair=False)
        self._capacity = settings.context_length - special
        if self._capacity < 1:
            raise ModelError(
                f"{path.name} adds {special} special tokens, "
                f"which leaves no room in a context of {settings.context_length}."
            )
        self._cut.enable_truncation(settings.context_length)

    @property
    def capacity(self) -> int:
        """How many content tokens fit; special tokens are already taken off (75 for CLIP)."""
        return self._capacity

    def content_tokens(self, text: str) -> int:
        """Count a text's tokens before truncation, without special tokens.

        Args:
            text: A prompt.

        Returns:
            The count; the prompt is truncated when it exceeds `capacity`.
        """
        return len(self._whole.encode(self._prepare(text), add_special_tokens=False).ids)

    def pieces(self, text: str) -> tuple[str | None, ...]:
        """Cut a text into its tokens, before truncation and without special tokens.

        Args:
            text: A prompt.

        Returns:
            Each token as the vocabulary writes it; None in the place of what the vocabulary does not know.
        """
        found = self._whole.encode(self._prepare(text), add_special_tokens=False)
        pairs = zip(found.ids, found.tokens, strict=True)
        return tuple(None if number == self._unknown else token for number, token in pairs)

    def encode(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tokenise, truncate and pad one text.

        Args:
            text: A prompt; may be empty.

        Returns:
            Ids int64 [L] and mask int64 [L] (1 for content; everywhere when the model attends to padding).
        """
        ids = self._cut.encode(self._prepare(text)).ids
        length = self._settings.context_length
        padded = np.full(length, self._settings.pad_id, dtype=np.int64)
        padded[: len(ids)] = ids
        mask = np.zeros(length, dtype=np.int64)
        mask[: len(ids) if self._settings.attention_mask else length] = 1
        return padded, mask

    def _prepare(self, text: str) -> str:
        return text.lower() if self._settings.lowercase else text


def _load(path: Path) -> RawTokenizer:
    try:
        tokenizer = RawTokenizer.from_file(str(path))
    except Exception as exc:  # the Rust bindings raise bare Exception
        raise ModelError(f"{path.name} is not a tokenizer that the tokenizers library reads: {exc}.") from exc
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _unknown_id(tokenizer: RawTokenizer) -> int | None:
    """Find what stands for pieces that the vocabulary lacks; models of other kinds than Unigram name it."""
    if isinstance(tokenizer.model, Unigram):
        number = json.loads(tokenizer.to_str())["model"]["unk_id"]
        return None if number is None else int(number)
    name = tokenizer.model.unk_token
    return None if name is None else tokenizer.token_to_id(name)
