"""Records: what every output says of itself, and from which staleness follows.

A record carries a checksum over its own content, the name of its target, and the digest of each of the output's files.
So a flipped bit, a file that was changed and files that were swapped are all noticed.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynvision.errors import DamagedFileError
from dynvision.system.checked_files import CheckedFiles
from dynvision.system.failures import unreadable_file
from dynvision.system.file_digests import FileDigest
from dynvision.system.files import digest_json, read_file
from dynvision.system.json_values import as_json

__all__ = ["CHECKSUM", "Record", "make_record", "read_record", "rebuild_advice"]

CHECKSUM = "checksum"
"""The key of a record's JSON form that holds the digest of all other keys."""


@dataclass(frozen=True)
class Record:
    """What an output was made of.

    Attributes:
        target: The target that it is, as text.
        data_version: Digest of everything that makes the result, and nothing else.
        inputs: The data version of each input, by target.
        config: The slice of the configuration that it depends on.
        code_version: The version of the stage's code.
        created: When it was finished (ISO 8601, UTC).
        details: Counts, bytes, seconds, class tables: facts for people.
        files: Size and digest of each file, by its name relative to the output's folder.
    """

    target: str
    data_version: str
    inputs: dict[str, str]
    config: dict[str, Any]
    code_version: str
    created: str
    details: dict[str, Any] = field(default_factory=dict)
    files: dict[str, FileDigest] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-ready values, with its checksum."""
        value = {name: getattr(self, name) for name in _FIELDS}
        value["files"] = {name: list(digest) for name, digest in self.files.items()}
        value = json.loads(json.dumps(value))  # The checksum is that of what will be read again.
        return {**value, CHECKSUM: digest_json(value)}

    def has_content(self, content: str) -> bool:
        """Whether this is the record of an output with this digest of its content."""
        return self.data_version == _version(self.code_version, self.config, self.inputs, content)

    def check_files(self, folder: Path) -> CheckedFiles:
        """Return the files of the output, to be compared with this record before they are read.

        Args:
            folder: The folder of the output.
        """
        return CheckedFiles(folder, self.files, rebuild_advice(self.target))

    def of(self, target: object, where: object) -> Record:
        """Return the record itself, if it is that of a target.

        Raises:
            DamagedFileError: If it is the record of another one.
        """
        if self.target != str(target):
            raise DamagedFileError(
                f"{where} holds the record of {self.target}, not of {target}: files were swapped, moved or copied. "
                f"{rebuild_advice(target)}"
            )
        return self

    @classmethod
    def from_dict(cls, value: dict[str, Any], where: object, target: object = None) -> Record:
        """Read a record.

        Args:
            value: What `to_dict` gave.
            where: The file, for the message of an error.
            target: Whose record it should be; by default the message trusts the name in it.

        Raises:
            DamagedFileError: If it is not what `to_dict` gave: its checksum is another one or missing.
        """
        content = {name: part for name, part in value.items() if name != CHECKSUM}
        named = value.get("target") if target is None else target
        advice = "Build it again." if named is None else rebuild_advice(named)
        if CHECKSUM not in value:
            raise DamagedFileError(
                f"{where} holds a record without a checksum: it is damaged, or was written by an earlier version of "
                f"this project. {advice}"
            )
        if content.keys() != set(_FIELDS) or value[CHECKSUM] != _digest(content):
            raise DamagedFileError(f"{where} is damaged: the record in it is not the one that was written. {advice}")
        files = {name: FileDigest(*digest) for name, digest in content["files"].items()}
        return cls(**{**content, "files": files})


_FIELDS = tuple(field.name for field in dataclasses.fields(Record))


def rebuild_advice(target: object) -> str:
    """Say what to do about a damaged output."""
    return f"Build it again: dynvision make --force {target}"


def _digest(content: dict[str, Any]) -> str:
    try:
        return digest_json(content)
    except RecursionError:  # It is nested more deeply than any record that was written.
        return ""


def _read_float(text: str) -> float:
    """Read a number as it was written: other digits may round to the same number, and are damage all the same."""
    value = float(text)
    if repr(value) != text:
        raise ValueError(f"the number {text} was written as {value!r}")
    return value


def read_record(path: Path, target: object = None) -> Record | None:
    """Read the record of a target from its own JSON file.

    Args:
        path: The file.
        target: The target that it should be the record of; `None` if any will do.

    Returns:
        The record; `None` if there is no such file.

    Raises:
        DamagedFileError: If it is damaged, or is the record of another target.
        UnreadableError: If it is there, but cannot be read.
    """
    advice = rebuild_advice(path.parent if target is None else target)
    try:
        content = json.loads(read_file(path), parse_float=_read_float)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable_file(path, error, advice) from error
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is damaged: it is not the JSON that was written ({error}). {advice}") from error
    if not isinstance(content, dict):
        raise DamagedFileError(f"{path} is damaged: it holds no record. {advice}")
    record = Record.from_dict(content, path, target)
    return record if target is None else record.of(target, path)


def make_record(
    target: object,
    *,
    code_version: str,
    config: dict[str, Any],
    inputs: dict[str, str],
    content: str,
    details: dict[str, Any],
    files: dict[str, FileDigest] | None = None,
) -> Record:
    """Make the record of a finished output.

    Args:
        target: The target that was built.
        code_version: The version of the stage's code.
        config: The slice of the configuration that it depends on.
        inputs: The data version of each input.
        content: A digest of the content itself, so that a result that differs has another version.
        details: Facts for people; they do not enter the version.
        files: Size and digest of each file, by its name relative to the output's folder.
    """
    config = as_json(config)  # The version is that of what will be read again.
    version = _version(code_version, config, inputs, content)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Record(str(target), version, inputs, config, code_version, now, details, files or {})


def _version(code_version: str, config: dict[str, Any], inputs: dict[str, str], content: str) -> str:
    return digest_json([code_version, config, sorted(inputs.values()), content])
