"""Records: what every output says of itself, and from which staleness follows."""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass, field
from typing import Any

from dynvision.errors import DamagedFileError
from dynvision.system.files import digest_json

__all__ = ["Record", "make_record"]


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
    """

    target: str
    data_version: str
    inputs: dict[str, str]
    config: dict[str, Any]
    code_version: str
    created: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-ready values."""
        return dataclasses.asdict(self)

    def has_content(self, content: str) -> bool:
        """Whether this is the record of an output with this digest of its content."""
        return self.data_version == _version(self.code_version, self.config, self.inputs, content)

    @classmethod
    def from_dict(cls, value: dict[str, Any], where: object) -> Record:
        """Read a record.

        Raises:
            DamagedFileError: If a field is missing or unknown, or has the wrong type.
        """
        try:
            record = cls(**value)
        except TypeError as error:
            raise DamagedFileError(f"{where}: not a record of this project ({error})") from error
        types = {"target": str, "data_version": str, "inputs": dict, "config": dict, "details": dict}
        for name, type_ in types.items():
            if not isinstance(getattr(record, name), type_):
                raise DamagedFileError(f"{where}: not a record of this project ('{name}' is not a {type_.__name__})")
        return record


def make_record(
    target: object,
    *,
    code_version: str,
    config: dict[str, Any],
    inputs: dict[str, str],
    content: str,
    details: dict[str, Any],
) -> Record:
    """Make the record of a finished output.

    Args:
        target: The target that was built.
        code_version: The version of the stage's code.
        config: The slice of the configuration that it depends on.
        inputs: The data version of each input.
        content: A digest of the content itself, so that a result that differs has another version.
        details: Facts for people; they do not enter the version.
    """
    version = _version(code_version, config, inputs, content)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Record(str(target), version, inputs, config, code_version, now, details)


def _version(code_version: str, config: dict[str, Any], inputs: dict[str, str], content: str) -> str:
    return digest_json([code_version, config, sorted(inputs.values()), content])
