"""The same words again, after they had to be edited: what is no edit of them, and how they are known again."""

from __future__ import annotations

import hashlib
import unicodedata

from service.domain.lexicon import Lexicon

DIGEST_BYTES = 16  # choice: no two texts of one conversation share one by chance


def normal_form(text: str, lexicon: Lexicon) -> str:
    """A text as the rules read it: case, width, script variants, blanks, marks and emoji do not make it another.

    A sign that stands for a word is read as that word, so taking it out is an edit. A text of marks alone keeps them.
    """
    stands_for_words = lexicon.stand_in.search(text) is not None
    return text.translate(lexicon.stand_ins if stands_for_words else lexicon.fold) or _shown(text)


def _shown(text: str) -> str:
    return "".join(each for each in text if unicodedata.category(each)[0] not in "ZCM")


def edit_digest(text: str, lexicon: Lexicon, *, thread_id: str) -> str:
    """How a text that must be edited is known again in its conversation: 32 hex digits, of another one elsewhere.

    Args:
        thread_id: the inquiry, the ticket or the dispute; it keys the digest, so that none tells two threads' words.
    """
    form = normal_form(text, lexicon).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(form, key=thread_id.encode()[:64], digest_size=DIGEST_BYTES).hexdigest()
