"""Reading a YAML file from disk: which files are read, how large they may be, and which characters they may hold."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from dynvision.errors import ConfigError

__all__ = ["read_text"]

_MOST_BYTES = 64_000_000
"""A larger file is not a configuration."""

_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_text(path: Path) -> str:
    """Read the text of a YAML file.

    Args:
        path: A regular file in UTF-8.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: It cannot be read, is not UTF-8, or holds characters that YAML forbids. The message names the file
            and what to do.
    """
    try:
        content = _read_bytes(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"the config file {path} cannot be read: {reason}. Check the file and its rights.") from error
    return _decode(path, content)


def _read_bytes(path: Path) -> bytes:
    # A pipe that nobody writes to would be waited for, and a device may have no end.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise ConfigError(f"the config file {path} is {_kind(mode)}, not a file; put a YAML file there")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ConfigError(f"{path} is larger than {_MOST_BYTES // 1_000_000} MB: it is not a config file")
    return content


def _kind(mode: int) -> str:
    kinds = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
    return next((kind for test, kind in kinds.items() if test(mode)), "a device")


def _decode(path: Path, content: bytes) -> str:
    for mark, encoding in _OTHER_ENCODINGS.items():
        if content.startswith(mark):
            raise ConfigError(f"{path}: the file is {encoding}; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place(content[: error.start].decode("utf-8", "replace"), error.start)
        byte = content[error.start]
        raise ConfigError(f"{path}{place}: the byte 0x{byte:02x} is not UTF-8; save the file as UTF-8") from error
    if found := _FORBIDDEN.search(text):
        place, code = _place(text, found.start()), ord(found[0])
        raise ConfigError(f"{path}{place}: not valid YAML: the control character U+{code:04X}; take it out")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _place(text: str, position: int) -> str:
    before = text[:position]
    return f", line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
