"""The map of README.md: every module and its caption, printed as the README must have it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
OPENS, CLOSES = "<!-- map -->", "<!-- /map -->"
RINGS = (".", "commands", "api", "flows", "store", "domain")  # as the rings import each other, edge first


def caption(module: Path) -> str:
    """The first line of the docstring; empty when the module has none."""
    said = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0].strip()


def modules_of_the_service() -> list[Path]:
    """Every module of the service, without package files that only open a ring."""
    return sorted(path for path in (ROOT / "service").rglob("*.py") if path.name != "__init__.py")


def map_text() -> str:
    """What stands between the two marks of the README, marks included."""
    lines = [OPENS, "```"]
    for ring in RINGS:
        folder = (ROOT / "service" / ring).resolve()
        here = [module for module in modules_of_the_service() if module.parent == folder]
        if not here:
            continue
        title = "service/" if ring == "." else f"service/{ring}/"
        lines.append(title.ljust(29) + caption(folder / "__init__.py"))
        lines += [f"  {module.name:<27}{caption(module)}" for module in here]
    return "\n".join([*lines, "```", CLOSES])


if __name__ == "__main__":
    print(map_text())  # noqa: T201  this is what it is for
