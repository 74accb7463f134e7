"""docs/errors.md lists every code that anything in the service can say, and nothing that nobody says."""

from __future__ import annotations

import re

import pytest

from service.api.problems import HEAD_ONLY, HTTP_ONLY
from tests.error_codes import CLOSES, OPENS, ROOT, codes, table_text

DOCUMENT = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")


@pytest.mark.frozen
def test_the_list_of_codes_is_read_from_the_sources() -> None:
    """`python -m tests.error_codes` prints what belongs there."""
    there = DOCUMENT[DOCUMENT.index(OPENS) : DOCUMENT.index(CLOSES) + len(CLOSES)]

    assert there == table_text()


@pytest.mark.frozen
def test_what_is_said_about_the_edge_is_still_said_by_somebody() -> None:
    """The table with advice may not outlive its codes."""
    by_hand = set(re.findall(r"^\| `(\w+)` \|", DOCUMENT.partition(OPENS)[0], flags=re.MULTILINE))

    known = set(codes()) | {code for table in (HTTP_ONLY, HEAD_ONLY) for code, _ in table.values()} | {"internal"}
    # auth.py names these where it decides between two
    assert by_hand - known <= {"role_missing", "role_ambiguous", "token_expired", "token_invalid"}


def test_every_code_reads_in_both_languages_and_has_one_form() -> None:
    """Codes are snake_case and stable; a refusal that says nothing in zh or en helps nobody."""
    for code, said in codes().items():
        assert re.fullmatch(r"[a-z][a-z0-9_]{2,47}", code), code
        assert said.texts, f"{code} says nothing"
        for zh, en in said.texts:
            assert re.search(r"[一-鿿]", zh), f"{code}: {zh}"
            assert en, code
            assert not re.search(r"[一-鿿]", en), f"{code}: {en}"
