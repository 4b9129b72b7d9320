"""Which words of a sentence a model knows: by the list of words that it was taught, else by what its tokenizer does."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from transformers.image_processing_base import BatchFeature

from .text import normalise_sentence

_FUNCTION_WORDS = """
    a an the this that these those of on in at to from by for with as and or but
    is are was were be been being am do does did has have had there here it its he she they them his her their i you we
    me my your our who whom whose which what where when while than then so just please
    find show select segment highlight mark locate
    s t d m ll re ve
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that name nothing by themselves: they are never called unknown, and alone they say nothing."""


class NothingUnderstoodWarning(UserWarning):
    """A sentence holds no word that the model knows, so that its answer says nothing about the sentence."""


@dataclass(frozen=True)
class Reading:
    """What a model makes of a sentence's words, as it reads them: lower case, hyphens are blanks.

    Attributes:
        known: words that it knows and that name something.
        unknown: words that it does not know, in their order, each once.
    """

    known: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def is_understood(self) -> bool:
        """Whether the sentence says anything to the model."""
        return bool(self.known)


def read_sentence(sentence: str, tokenizer: Any, known_words: Set[str] | None = None) -> Reading:
    """Sorts the words of a sentence.

    A word is known when `known_words` holds it. Otherwise the tokenizer decides: a word of which nothing but single
    characters, or the token for the unknown, comes out is unknown. What the tokenizer has in larger pieces is known
    where there is no list; where there is one, only as another number of a word of the list ("balls" for "ball").
    Function words (`FUNCTION_WORDS`) and punctuation are neither; an emoji is a word.

    Args:
        sentence: as the user wrote it, or normalised.
        tokenizer: the model's.
        known_words: that the model was taught, lower case; None: not recorded.
    """
    known: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for word, is_spelled in _words(normalise_sentence(sentence), tokenizer):
        if word in FUNCTION_WORDS:
            continue
        if known_words is None:
            is_known = not is_spelled
        else:
            forms = {word, _without_accents(word)}
            if not is_spelled:
                forms.update(other for form in tuple(forms) for other in _other_numbers(form))
            is_known = not forms.isdisjoint(known_words)
        (known if is_known else unknown)[word] = None
    return Reading(tuple(known), tuple(unknown))


class UniRefInputs(BatchFeature):
    """The model's input, and what is known of its sentences, which is no input: `model(**inputs)` gets tensors alone.

    Attributes:
        unknown_words: for each sentence the words that the model does not know.
        understood: for each sentence whether it holds any word that the model knows.
    """

    def __init__(self, data: dict[str, Any] | None = None, *args: Any, readings: Sequence[Reading] = (), **kwargs: Any):
        super().__init__(data, *args, **kwargs)
        self._say([list(reading.unknown) for reading in readings], [reading.is_understood for reading in readings])

    def _say(self, unknown_words: list[list[str]], understood: list[bool]) -> None:
        self.unknown_words, self.understood = unknown_words, understood

    # The base class hands nothing but the data on to another process.
    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "said": (self.unknown_words, self.understood)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._say(*state.get("said", ([], [])))


def _words(sentence: str, tokenizer: Any) -> Iterator[tuple[str, bool]]:
    """The words of a normalised sentence, and whether the tokenizer merely spells each."""
    if getattr(tokenizer, "is_fast", False):
        pieces = _split_by_tokenizer(sentence, tokenizer)
    else:
        pieces = _split_at_blanks(sentence, tokenizer)
    end, word, spelled = -1, "", False
    for start, text, is_spelled in pieces:
        # Scripts without blanks come apart in characters: those that are spelled side by side are one word.
        if word and spelled and is_spelled and start == end:
            word += text
        else:
            if word:
                yield word, spelled
            word, spelled = text, is_spelled
        end = start + len(text)
    if word:
        yield word, spelled


def _split_by_tokenizer(sentence: str, tokenizer: Any) -> Iterator[tuple[int, str, bool]]:
    """Where each word starts, the word, and whether it is spelled; words are what the tokenizer takes for such."""
    encoded = tokenizer(sentence, add_special_tokens=False, padding=False, truncation=False, verbose=False)
    encoding = encoded.encodings[0]
    spans: dict[int, list[tuple[int, int, int]]] = {}
    for number, token, (start, end) in zip(encoding.word_ids, encoding.ids, encoding.offsets, strict=True):
        if number is not None:
            spans.setdefault(number, []).append((start, end, token))
    for of_word in spans.values():
        start, end = min(span[0] for span in of_word), max(span[1] for span in of_word)
        text = sentence[start:end].strip()
        if not _is_word(text):
            continue
        start += len(sentence[start:end]) - len(sentence[start:end].lstrip())
        lost = any(token == tokenizer.unk_token_id for *_, token in of_word)
        whole = len(of_word) == 1 or any(last - first > 1 for first, last, _ in of_word)
        yield start, text, lost or not whole


def _split_at_blanks(sentence: str, tokenizer: Any) -> Iterator[tuple[int, str, bool]]:
    """The same for a tokenizer that does not tell where its tokens come from."""
    start = 0
    for text in sentence.split():
        start = sentence.index(text, start)
        tokens = tokenizer.tokenize(text)
        bare = [token.removeprefix("##").removesuffix("</w>").strip("\u2581\u0120") for token in tokens]
        if _is_word(text):
            lost = not tokens or tokenizer.unk_token in tokens
            yield start, text, lost or (len(text) > 1 and all(len(piece) <= 1 for piece in bare))
        start += len(text)


def _is_word(text: str) -> bool:
    """Whether a piece holds a letter, a digit or an emoji, and not punctuation alone."""
    return any(character.isalnum() or unicodedata.category(character) == "So" for character in text)


def _without_accents(word: str) -> str:
    parts = unicodedata.normalize("NFD", word)
    return "".join(character for character in parts if unicodedata.category(character) != "Mn")


def _other_numbers(word: str) -> Iterator[str]:
    """The singular of a regular plural, and the regular plurals of a word."""
    if word.endswith("s") and not word.endswith("ss"):
        yield word[:-1]
    for ending, singulars in (("es", ("",)), ("ies", ("y",)), ("ves", ("f", "fe"))):
        if word.endswith(ending):
            yield from (word.removesuffix(ending) + singular for singular in singulars)
    yield f"{word}s"
    yield f"{word}es"
    for ending, plural in (("y", "ies"), ("f", "ves"), ("fe", "ves")):
        if word.endswith(ending):
            yield word.removesuffix(ending) + plural
