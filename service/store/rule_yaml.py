"""YAML as plain values and the line of each of them; anchors, tags and doubled keys are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

Where = Mapping[tuple[str | int, ...], int]
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ["bool", "float", "int", "map", "merge", "null", "seq", "str", "timestamp"]
)
NESTING_MAX = 12  # choice: the language nests five deep


class BadPack(Exception):
    """A rule file that cannot be used; nothing of it, nor of its neighbours, comes into force."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


def line_of(where: Where, spot: tuple[str | int, ...]) -> int:
    """The line of a value, or of the nearest value around it that has one."""
    while spot and spot not in where:
        spot = spot[:-1]
    return where.get(spot, 1)


def parsed(content: bytes, name: str) -> tuple[Any, Where]:
    """Plain values of one YAML document; anchors, tags and doubled keys are refused."""
    where: dict[tuple[str | int, ...], int] = {}
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadPack(name, content[: error.start].count(b"\n") + 1, "not UTF-8") from error
    try:
        node = yaml.compose(text, Loader=_loader())
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "nested too deeply"
        raise BadPack(name, mark.line + 1 if mark else 1, f"not YAML: {reason}") from error
    if node is None:
        raise BadPack(name, 1, "empty")
    _require_plain(node, name)
    return _value(node, (), where, name), where


def _require_plain(root: yaml.Node, name: str) -> None:
    """Refuse a value that stands in two places (an alias) and a tag of its own, before anything is expanded."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            raise BadPack(name, node.start_mark.line + 1, "anchors and aliases are not taken")
        seen.add(id(node))
        if node.tag not in _PLAIN_TAGS:
            raise BadPack(name, node.start_mark.line + 1, f"the tag {node.tag} is not taken")
        if isinstance(node, yaml.MappingNode):
            waiting.extend(part for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)


def _loader() -> type[yaml.SafeLoader] | type[yaml.CSafeLoader]:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _value(node: yaml.Node, spot: tuple[str | int, ...], where: dict[tuple[str | int, ...], int], name: str) -> Any:
    line = node.start_mark.line + 1
    where[spot] = line
    if len(spot) > NESTING_MAX:
        raise BadPack(name, line, "nested too deeply")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, spot, where, name)
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, (*spot, index), where, name) for index, each in enumerate(node.value)]
    plain = node.value
    if node.tag == "tag:yaml.org,2002:int":
        try:
            return int(plain)
        except ValueError as error:
            raise BadPack(name, line, f"not a whole number: {plain}") from error
    if node.tag == "tag:yaml.org,2002:bool" and plain in ("true", "false"):
        return plain == "true"
    if node.tag == "tag:yaml.org,2002:null":
        return None
    return plain


def _mapping(
    node: yaml.MappingNode, spot: tuple[str | int, ...], where: dict[tuple[str | int, ...], int], name: str
) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value
        if not isinstance(key, str):
            raise BadPack(name, key_node.start_mark.line + 1, "a key must be a word")
        if key in mapping:
            raise BadPack(name, key_node.start_mark.line + 1, f"{key} stands here twice")
        mapping[key] = _value(value_node, (*spot, key), where, name)
        where[(*spot, key)] = (
            key_node.start_mark.line + 1
            if isinstance(value_node, yaml.ScalarNode)
            else (value_node.start_mark.line + 1)
        )
    return mapping
