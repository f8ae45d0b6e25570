"""Schema of `config_compute.yaml`: where targets are computed, and what each needs.

No result depends on it as long as the kind of device is the same: a GPU changes the last digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag, field_validator, model_validator

from dynvision.config.values.limits import PlainText
from dynvision.config.values.names import Section, repeats
from dynvision.config.values.patterns import check_placeholders
from dynvision.engines.calls import Resources
from dynvision.engines.quantities import parse_memory, parse_time
from dynvision.engines.settings import HERE, QUEUES, EngineSettings
from dynvision.errors import ConfigError, unknown_name
from dynvision.targets import Target

__all__ = ["ENGINES", "ComputeConfig", "Needs"]

LOCAL, ADDRESS = "local", "address"

ENGINES = (HERE, LOCAL, *QUEUES, ADDRESS)
"""The words for engines; the address of a scheduler is one, too."""

_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://[^\s/:]+(:\d{1,5})|(tcp|tls|ws|wss|ucx)://\[[0-9a-fA-F:]+\](:\d{1,5})")
_MOST_ATTEMPTS = 20

WORD = r"^[^\s'\"\\;&|<>$`]+$"
LINE = r"^[^\n\r\x00]+$"

_Value = TypeVar("_Value")


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value,)


def _parsed(parse: Any, value: object) -> object:
    """Read each of the texts; what was read before (numbers, in a tuple) is kept."""
    return (
        value if isinstance(value, tuple) else tuple(parse(v) for v in (value if isinstance(value, list) else [value]))
    )


def _options(value: object) -> object:
    """One option, a list of options, or a list of such lists, one for each attempt."""
    if isinstance(value, list) and value and all(isinstance(inner, list) for inner in value):
        return tuple(tuple(inner) for inner in value)
    return (tuple(value) if isinstance(value, list) else (value,),)


_Some = Field(min_length=1, max_length=_MOST_ATTEMPTS)
_Word = Annotated[str, StringConstraints(pattern=WORD, max_length=255)]
_Line = Annotated[str, StringConstraints(pattern=LINE, max_length=4096)]

Cpus = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], BeforeValidator(_listed), _Some]
Gpus = Annotated[tuple[Annotated[int, Field(ge=0, le=1024)], ...], BeforeValidator(_listed), _Some]
Memory = Annotated[tuple[int, ...], BeforeValidator(partial(_parsed, parse_memory)), _Some]
Time = Annotated[tuple[int, ...], BeforeValidator(partial(_parsed, parse_time)), _Some]
Words = Annotated[tuple[_Word, ...], BeforeValidator(_listed), _Some]
Options = Annotated[tuple[tuple[_Line, ...], ...], BeforeValidator(_options), _Some]
Lines = Annotated[tuple[_Line, ...], BeforeValidator(_listed), Field(max_length=1000)]


class Needs(Section):
    """What a target needs. Each is one value, or a list: for the first attempt, the second, …; the last is repeated.

    `extra` is a list of options, for all attempts; a list of such lists has one list for each attempt.

    What is not given is that of `stages`, then that of `defaults`.

    A queue obeys all of it. `local` reads `memory` and `gpus` alone, the address of a running cluster `gpus` alone, and
    `here` nothing.
    """

    cpus: Cpus | None = Field(None, description="cores of a job, 1 by default; a training has its own `threads`")
    memory: Memory | None = Field(None, description="with a unit: 16G, 500M")
    time: Time | None = Field(None, description="how long a job may run, with a unit: 30m, 12h, 2d, 1:30:00")
    gpus: Gpus | None = Field(
        None, description="GPUs; by default those of this machine are used, but no job asks for one"
    )
    account: Words | None = Field(None, description="who is charged, in the words of the cluster")
    partition: Words | None = Field(None, description="the queue, in the words of the cluster")
    extra: Options | None = Field(None, description="further options of the job, added to the general ones")

    @property
    def given(self) -> dict[str, tuple[Any, ...]]:
        """What is given, for each attempt."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}


def _sort_of_choice(value: object) -> str:
    """Name the type that is meant, so that a message is about that alone."""
    return "literal[here]" if isinstance(value, str) else "dict[needs]"


Choice = Annotated[
    Annotated[Needs, Tag("dict[needs]")] | Annotated[Literal["here"], Tag("literal[here]")],
    Discriminator(_sort_of_choice),
]
"""What a target needs, or the word that keeps it on the controlling machine."""


class ComputeConfig(Section):
    """Where targets are computed, and what they need. The file may be missing: everything is computed here then.

    `stages` and `targets` hold resources or the word `here`, which keeps them on the controlling machine. The keys of
    `targets` are patterns over targets as text, such as `models/rcnn/*`. What a target needs is put together key by
    key: from `defaults`, then its stage, then every pattern that matches, in their order, so that later ones win.
    """

    engine: PlainText = Field(
        HERE, description="here, local, slurm, pbs, lsf, sge, oar, htcondor, address, or an address"
    )
    address: PlainText | None = Field(None, description="of a running Dask scheduler: tls://host:8786")
    certificates: PlainText | None = Field(None, description="the folder with its ca.pem, cert.pem and key.pem")
    workers: int | None = Field(None, ge=1, le=1024, description="local: how many targets at once")
    gpus: Annotated[int, Field(ge=0, le=64)] | list[Annotated[int, Field(ge=0, le=63)]] | None = Field(
        None, description="local: how many GPUs are used, or which; by default all"
    )
    share_gpus: bool = Field(False, description="several targets may be computed on one GPU at once")
    defaults: Needs = Field(default_factory=lambda: Needs())
    stages: dict[PlainText, Choice] = Field(default_factory=dict)
    targets: dict[PlainText, Choice] = Field(default_factory=dict, max_length=10_000)
    max_jobs: int = Field(10, ge=1, le=10_000, description="how many jobs there may be at once")
    gpu_flag: _Line | None = Field(None, description="how a job asks for GPUs: --gres=gpu:{gpus}, --gpus-per-node")
    interface: _Word | None = Field(None, description="the network that workers and scheduler share, such as ib0")
    extra: Lines = Field((), description="options of every job, as the submitting command takes them")
    before: Lines = Field((), description="lines of shell that every job runs first")

    @model_validator(mode="before")
    @classmethod
    def _address_is_an_engine(cls, values: Any) -> Any:
        engine = values.get("engine") if isinstance(values, dict) else None
        if not isinstance(engine, str) or not _ADDRESS.fullmatch(engine):
            return values
        if values.get("address") not in (None, engine):
            raise ValueError("engine is an address, and 'address' is another one; write 'engine: address' to use that")
        return {**values, "engine": ADDRESS, "address": engine}

    @field_validator("engine")
    @classmethod
    def _engine_is_known(cls, engine: str) -> str:
        if engine not in ENGINES:
            raise ValueError(str(unknown_name("engine", engine, [*ENGINES, "tcp://host:port", "tls://host:port"])))
        return engine

    @field_validator("address")
    @classmethod
    def _address_has_a_port(cls, address: str | None) -> str | None:
        if address is not None and not _ADDRESS.fullmatch(address):
            raise ValueError(f"'{address[:80]}' is no address of a scheduler; write tls://host:port or tcp://host:port")
        return address

    @field_validator("certificates")
    @classmethod
    def _folder_is_somewhere(cls, folder: str | None) -> str | None:
        if folder is not None:
            try:
                Path(folder).expanduser()
            except RuntimeError as error:
                raise ValueError(f"'{folder[:80]}' begins with a ~ that leads nowhere; write the whole path") from error
        return folder

    @field_validator("gpus")
    @classmethod
    def _gpus_differ(cls, gpus: int | list[int] | None) -> int | list[int] | None:
        if isinstance(gpus, list) and (twice := repeats(gpus)):
            raise ValueError(f"GPU {twice[0]} is listed twice")
        return gpus

    @field_validator("gpu_flag")
    @classmethod
    def _flag_is_filled_in(cls, flag: str | None) -> str | None:
        if flag is not None:
            check_placeholders(flag, ("gpus",))
        return flag

    @model_validator(mode="after")
    def _engine_has_its_address(self) -> ComputeConfig:
        if self.engine == ADDRESS and self.address is None:
            raise ValueError("'engine: address' needs the address of a scheduler: add 'address: tls://host:port'")
        return self

    def check_stages(self, names: Iterable[str], file: Path) -> None:
        """Raise if `stages`, or a pattern of `targets`, names one that does not exist.

        Args:
            names: The stages that exist.
            file: The file, for the message.

        Raises:
            UnknownNameError: If it does; the message names the nearest.
        """
        valid = list(names)
        if unknown := next((name for name in self.stages if name not in valid), None):
            raise unknown_name("stage", unknown, valid, f"{file}: stages")
        for pattern in self.targets:
            stage = pattern.partition("/")[0]
            if stage not in valid and not set(stage) & set("*?["):  # A star may stand for several parts.
                raise unknown_name("stage", stage, valid, f"{file}: targets: '{pattern}'")

    def attempts(self, target: Target, gpu_if_there: bool = False) -> tuple[Resources, ...]:
        """Return what the first attempt at a target needs, the second, ….

        There are as many as the longest of the lists has entries, one at least.

        Args:
            target: The target.
            gpu_if_there: Whether it can use a GPU, so that it has one of this machine's if `gpus` is not given for it.
        """
        needs: dict[str, tuple[Any, ...]] = self.defaults.given
        for choice in self._choices(target):
            needs |= choice.given if isinstance(choice, Needs) else {}
        count = max((len(values) for values in needs.values()), default=1)
        may_use = gpu_if_there and "gpus" not in needs
        return tuple(
            Resources(**{name: _at(values, number) for name, values in needs.items()}, gpu_if_there=may_use)
            for number in range(count)
        )

    def runs_here(self, target: Target) -> bool:
        """Whether the controlling machine computes a target, whatever the engine."""
        return next(reversed([choice == HERE for choice in self._choices(target)]), False)

    def _choices(self, target: Target) -> list[Choice]:
        """Return the entries for a target, the most important one last."""
        text = str(target)
        own = [self.stages[target.stage]] if target.stage in self.stages else []
        return [*own, *(choice for pattern, choice in self.targets.items() if fnmatchcase(text, pattern))]

    def engine_settings(self, root: Path, engine: str | None = None, jobs: int | None = None) -> EngineSettings:
        """Return the engine that the file names, or another one.

        Args:
            root: The root; the engine keeps its files in `.dynvision/engine` there.
            engine: Another engine, or the address of a scheduler.
            jobs: How many targets are computed at once: workers of this machine, or jobs of a queue. With more than one
                `here` becomes `local`. The address of a scheduler takes none.

        Raises:
            ConfigError: If there is no such engine, it has no address, or `jobs` does not fit it.
        """
        address = engine if engine is not None and _ADDRESS.fullmatch(engine) else self.address
        kind = ADDRESS if engine is not None and engine == address else engine or self.engine
        if kind not in ENGINES:
            raise unknown_name("engine", kind, [*ENGINES, "tcp://host:port", "tls://host:port"])
        if kind == ADDRESS and address is None:
            raise ConfigError(
                "the engine 'address' needs the address of a running Dask scheduler: name it instead of the word "
                "(tls://host:port), or set 'address' in config_compute.yaml."
            )
        if jobs is not None and kind == ADDRESS:
            raise ConfigError(
                "the workers of a running cluster decide how many targets are computed at once; leave out the number "
                "of jobs, or choose another engine."
            )
        kind = LOCAL if kind == HERE and jobs is not None and jobs > 1 else kind
        return EngineSettings(
            kind=kind, address=address if kind == ADDRESS else None, **self._settings(root, kind, jobs)
        )

    def _settings(self, root: Path, kind: str, jobs: int | None) -> dict[str, Any]:
        """Return what the settings of an engine hold besides its kind and address."""
        certificates = None if self.certificates is None else root / Path(self.certificates).expanduser()
        numbers = range(self.gpus) if isinstance(self.gpus, int) else self.gpus
        return {
            "folder": root / ".dynvision" / "engine",
            "workers": jobs if jobs is not None and kind == LOCAL else self.workers,
            "gpus": None if numbers is None else tuple(numbers),
            "share_gpus": self.share_gpus,
            "max_jobs": jobs if jobs is not None and kind in QUEUES else self.max_jobs,
            "gpu_flag": self.gpu_flag,
            "interface": self.interface,
            "before": self.before,
            "extra": self.extra,
            "certificates": certificates,
        }


def _at(values: tuple[_Value, ...], number: int) -> _Value:
    """Return the value of an attempt: the last one, if there are fewer."""
    return values[min(number, len(values) - 1)]
