"""Prompts as tokens and chunks, without a tokenizer or a model: four characters of text are one token."""

import hashlib
from collections.abc import Sequence
from typing import Final

CHARACTERS_PER_TOKEN: Final = 4


def split_tokens(prompt: str | Sequence[int]) -> list[str]:
    """Return the tokens of a prompt given as text or as token ids."""
    if isinstance(prompt, str):
        return [prompt[at : at + CHARACTERS_PER_TOKEN] for at in range(0, len(prompt), CHARACTERS_PER_TOKEN)]
    return [str(token) for token in prompt]


def hash_chunks(tokens: Sequence[str], size: int) -> list[str]:
    """Return one hash per full chunk of `size` tokens, 64 hex digits; each covers everything before it, as LMCache's."""
    hashes: list[str] = []
    before = ""
    for end in range(size, len(tokens) + 1, size):
        text = "\0".join([before, *tokens[end - size : end]])
        before = hashlib.blake2b(text.encode(), digest_size=32).hexdigest()
        hashes.append(before)
    return hashes
