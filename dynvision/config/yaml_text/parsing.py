"""YAML 1.2 from text to values, read event by event: no depth, alias or key of a text can do harm."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from dynvision.config.yaml_text.building import YamlBuilder
from dynvision.config.yaml_text.lists import shorten_lists
from dynvision.errors import ConfigError
from dynvision.system.escaping import show_text

__all__ = ["parse_yaml"]

_LARGE = 100_000
"""Characters from which on a text is large."""


def parse_yaml(text: str, name: str) -> Any:
    """Read a YAML 1.2 document with the core schema and merge keys (`<<: *base`).

    Args:
        text: The text, without characters that YAML forbids.
        name: The file, for messages.

    Returns:
        Dictionaries, lists, texts, whole and finite numbers, Booleans and `None`.

    Raises:
        ConfigError: It is no such document, a key is given twice, or a value can be read in two ways; the message
            names the file, the line and the column.
    """
    with _garbage_kept(len(text) > _LARGE):
        return _parse(text, name)


def _parse(text: str, name: str) -> Any:
    shortened = shorten_lists(text)
    if shortened is not None:
        try:
            parser = YamlBuilder(name, shortened)
            content = parser.parse(shortened.text)
        except (ConfigError, yaml.YAMLError):
            pass  # The text itself says where.
        else:
            if parser.found == shortened.lists.keys():
                return content
    return _parse_whole(text, name)


def _parse_whole(text: str, name: str) -> Any:
    try:
        return YamlBuilder(name).parse(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name
        raise ConfigError(f"{where}: not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{name}: not valid YAML: {show_text(error, 300)}") from error


@contextmanager
def _garbage_kept(is_large: bool) -> Iterator[None]:
    """Collect no garbage while many objects are made that stay; that takes half of the time."""
    pauses = is_large and gc.isenabled()
    if pauses:
        gc.disable()
    try:
        yield
    finally:
        if pauses:
            gc.enable()
