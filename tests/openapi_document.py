"""Writes openapi/openapi.json from the code: `make openapi`, or `python -m tests.openapi_document`."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from service import app as wiring
from service.settings import Settings

COMMITTED = Path(__file__).parent.parent / "openapi" / "openapi.json"


def document() -> dict[str, Any]:
    """What the embedded demo serves at /schema/openapi.json; no rule is compiled for it."""
    with TemporaryDirectory() as folder, patch.object(wiring, "load_rule_book", lambda _: SimpleNamespace(profiles=())):
        here = Path(folder)
        settings = Settings(
            database_url=f"sqlite:///{here / 'none.db'}",
            demo=True,
            demo_key_path=here / "demo-key.pem",
            files_dir=here / "files",
        )
        app = wiring.create_app(settings, tick=False)
        try:
            return app.openapi_schema.to_schema()
        finally:
            app.state.parts.database.close()


def document_text() -> str:
    """The document, one member a line, so that a change can be read."""
    return json.dumps(document(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    COMMITTED.write_text(document_text(), encoding="utf-8")
