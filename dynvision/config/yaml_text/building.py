"""Building values from the events of PyYAML's parser, that of libyaml if there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import yaml

from dynvision.config.yaml_text.lists import ShortenedText
from dynvision.config.yaml_text.scalars import resolve_scalar, resolve_tagged, scalar_problem
from dynvision.errors import ConfigError
from dynvision.system.escaping import show_text

__all__ = ["YamlBuilder"]

_MOST_LEVELS = 40
"""Brackets within brackets; a configuration needs eight."""

_TWICE = "is given twice; put what is below it under the first one"

_MOST_REPEATED = 1_000_000
"""Values that aliases may repeat."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NO_KEY, _UNFINISHED = object(), object()
_COLLECTION_TAGS = (None, "!", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


class _Open:
    """A list or mapping that has begun and not ended."""

    __slots__ = ("anchor", "begin", "content", "is_mapping", "key", "merged", "other_keys")

    def __init__(self, content: Any, anchor: str | None, begin: int) -> None:
        self.content, self.anchor, self.begin = content, anchor, begin
        self.is_mapping = isinstance(content, dict)
        self.key: Any = _NO_KEY
        self.merged: list[dict[Any, Any]] | None = None
        self.other_keys: set[str] = set()


class YamlBuilder:
    """Builds the values of one document, event by event.

    Args:
        name: The file, for messages.
        shortened: The text with placeholders for its long lists, if it has any.

    Attributes:
        found: The placeholders that were items of lists.
    """

    handlers: ClassVar[dict[type, Callable[[YamlBuilder, Any], None]]]

    def __init__(self, name: str, shortened: ShortenedText | None = None) -> None:
        self.name, self.shortened = name, shortened
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.found: set[str] = set()
        self.root: Any = None
        self.count = self.repeated = self.documents = 0

    def parse(self, text: str) -> Any:
        handlers = self.handlers
        next_event = _LOADER(text).get_event
        while type(event := next_event()) is not yaml.StreamEndEvent:
            handlers[type(event)](self, event)
        if self.repeated and _is_too_deep(self.root):
            raise ConfigError(
                f"{self.name}: aliases make more than {_MOST_LEVELS} lists and mappings within each other"
            )
        return self.root

    def begin_document(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            raise self.error(event, "a second document begins here; a config file holds one. Take out '---'")
        if event.version not in (None, (1, 2)):
            raise self.error(event, "the file says it is YAML 1.1 and would be read as YAML 1.2; take out '%YAML 1.1'")

    def skip(self, event: yaml.Event) -> None:
        """Do nothing: the event says nothing of the content."""

    def begin_list(self, event: yaml.SequenceStartEvent) -> None:
        self._begin(event, [])

    def begin_mapping(self, event: yaml.MappingStartEvent) -> None:
        self._begin(event, {})

    def _begin(self, event: yaml.CollectionStartEvent, content: Any) -> None:
        if event.tag not in _COLLECTION_TAGS:
            raise self.error(event, f"the tag '{show_text(event.tag, 60)}' has no meaning here; take it out")
        if self.stack and self.stack[-1].is_mapping and self.stack[-1].key is _NO_KEY:
            noun = "mapping" if isinstance(content, dict) else "list"
            raise self.error(event, f"not valid YAML: a {noun} cannot be a key; write a text, in quotes if need be")
        if len(self.stack) >= _MOST_LEVELS:
            raise self.error(event, f"more than {_MOST_LEVELS} lists and mappings within each other")
        if event.anchor:
            self.anchors[event.anchor] = (_UNFINISHED, 0)
        self.stack.append(_Open(content, event.anchor, self.count))

    def end_list(self, event: yaml.SequenceEndEvent) -> None:
        ended = self.stack.pop()
        self._finish(event, ended, ended.content)

    def end_mapping(self, event: yaml.MappingEndEvent) -> None:
        ended = self.stack.pop()
        content = ended.content
        if ended.merged is not None:
            content = {}
            for base in ended.merged:
                for key, value in base.items():
                    content.setdefault(key, value)
            content.update(ended.content)
        self._finish(event, ended, content)

    def _finish(self, event: yaml.Event, ended: _Open, content: Any) -> None:
        self.count += 1
        if ended.anchor:
            self.anchors[ended.anchor] = (content, self.count - ended.begin)
        self._add(event, content)

    def read_alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self.anchors:
            raise self.error(event, f"not valid YAML: there is no '&{show_text(event.anchor, 60)}' before this alias")
        value, size = self.anchors[event.anchor]
        if value is _UNFINISHED:
            raise self.error(
                event, f"'*{show_text(event.anchor, 60)}' stands for something that holds it; write it out"
            )
        self.repeated += size
        self.count += size
        if self.repeated > _MOST_REPEATED:
            raise self.error(event, f"the aliases stand for more than {_MOST_REPEATED} values; write out fewer of them")
        self._add(event, value)

    def read_scalar(self, event: yaml.ScalarEvent) -> None:
        self.count += 1
        text = event.value
        tag = event.tag
        is_plain = event.implicit[0] and tag is None
        try:
            value: Any = resolve_scalar(text) if is_plain else text
            if tag is not None and tag != "!":
                value = resolve_tagged(tag, text)
        except ValueError as error:
            raise self.error(event, str(error)) from error
        if value is text and not text.isprintable() and (problem := scalar_problem(text)):
            raise self.error(event, problem)
        if event.anchor:
            self.anchors[event.anchor] = (value, 1)
        top = self.stack[-1] if self.stack else None
        if top is not None and top.is_mapping and top.key is _NO_KEY:
            self._begin_value(event, top, value, is_plain)
        elif self.shortened is not None and value is text and self.shortened.mark in text:
            self._add_long_list(event, top, text)
        else:
            self._add(event, value)

    def _add_long_list(self, event: yaml.ScalarEvent, top: _Open | None, text: str) -> None:
        assert self.shortened is not None
        if top is None or top.is_mapping or text not in self.shortened.lists or text in self.found:
            raise self.error(event, "a placeholder is not an item of a list")
        self.found.add(text)
        self.count += len(self.shortened.lists[text])
        top.content.extend(self.shortened.lists[text])

    def _add(self, event: yaml.Event, value: Any) -> None:
        if not self.stack:
            self.root = value
            return
        top = self.stack[-1]
        if not top.is_mapping:
            top.content.append(value)
        elif top.key is _NO_KEY:
            if isinstance(value, (dict, list)):
                raise self.error(event, "not valid YAML: a list or mapping cannot be a key; write a text")
            self._begin_value(event, top, value, is_plain=False)
        else:
            key, top.key = top.key, _NO_KEY
            if key is _UNFINISHED:
                top.merged = self._read_bases(event, value)
            else:
                top.content[key] = value

    def _begin_value(self, event: Any, top: _Open, key: Any, is_plain: bool) -> None:
        """Take a scalar as the key of the value that comes next."""
        if is_plain and key == "<<":
            if top.merged is not None:
                raise self.error(event, "not valid YAML: the key '<<' is given twice; write <<: [*a, *b]")
            key = _UNFINISHED
        elif type(key) is str:
            if key in top.content or key in top.other_keys:
                raise self.error(event, f"not valid YAML: the key '{show_text(key, 80)}' {_TWICE}")
        else:
            text = str(key)
            if key in top.content or text in top.content or text in top.other_keys:
                raise self.error(event, f"not valid YAML: the key '{text}' {_TWICE}")
            if is_plain and isinstance(key, (int, float)) and not isinstance(key, bool) and text != event.value:
                shown = show_text(event.value, 40)
                raise self.error(event, f"the key {shown} is read as the number {text}: write '{shown}' in quotes")
            top.other_keys.add(text)
        top.key = key

    def _read_bases(self, event: yaml.Event, value: Any) -> list[dict[Any, Any]]:
        bases = value if isinstance(value, list) else [value]
        if not all(isinstance(base, dict) for base in bases):
            raise self.error(event, "'<<' takes in the keys of a mapping: write <<: *name, or <<: [*one, *other]")
        return bases

    def error(self, event: yaml.Event, problem: str) -> ConfigError:
        """Make the error for something at the place of an event."""
        mark = event.start_mark
        assert mark is not None
        keys = [str(opened.key) for opened in self.stack if opened.is_mapping and isinstance(opened.key, (str, int))]
        where = "" if problem.startswith("not valid YAML") or not keys else f"{show_text('.'.join(keys), 120)}: "
        return ConfigError(f"{self.name}, line {mark.line + 1}, column {mark.column + 1}: {where}{problem}")


def _is_too_deep(content: Any) -> bool:
    """Whether aliases within aliases go deeper than brackets may."""
    level = [content]
    for _ in range(_MOST_LEVELS + 1):
        inner = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, (dict, list)))
        level = [value for values in inner for value in values]
    return bool(level)


YamlBuilder.handlers = {
    yaml.StreamStartEvent: YamlBuilder.skip,
    yaml.DocumentEndEvent: YamlBuilder.skip,
    yaml.DocumentStartEvent: YamlBuilder.begin_document,
    yaml.ScalarEvent: YamlBuilder.read_scalar,
    yaml.AliasEvent: YamlBuilder.read_alias,
    yaml.SequenceStartEvent: YamlBuilder.begin_list,
    yaml.MappingStartEvent: YamlBuilder.begin_mapping,
    yaml.SequenceEndEvent: YamlBuilder.end_list,
    yaml.MappingEndEvent: YamlBuilder.end_mapping,
}
