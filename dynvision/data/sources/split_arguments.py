"""Finding out with which argument a dataset's class is told the split: it is said once, and by nobody else."""

from __future__ import annotations

import enum
import inspect
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dynvision.errors import ConfigError, unknown_name

__all__ = ["accepted_names", "choose_split_arguments"]

SPLITS = ("train", "test")

_SPLIT_NAME = re.compile(
    r"(train|test|val|valid|validation|dev|eval|unlabell?ed)(\d+k?|ing|val|[-_+].*)?", re.IGNORECASE
)
"""The name of a split, as libraries have them: `train`, `test50k`, `trainval`, `train+unlabeled`, `test_labels.csv`."""


def choose_split_arguments(
    cls: Any,
    class_path: str,
    arguments: Mapping[str, Any],
    split_args: Mapping[str, Mapping[str, Any]] | None,
    split: str,
    where: str,
) -> dict[str, Any]:
    """Return the arguments with which a class gives one split.

    They are `split_args` if the configuration states them. Otherwise it is the one parameter that says train or test:
    `train` (true, false), `split` ('train', 'test'), or one whose annotation lists both. Parameters that a class passes
    on in `**kwargs` are those of its base classes.

    Args:
        cls: The class, or a function that makes the dataset.
        class_path: Its import path, for messages.
        arguments: The user's own arguments.
        split_args: The user's own arguments for each split.
        split: `train` or `test`.
        where: The file and key that name the class, for messages.

    Raises:
        ConfigError: If an argument does not exist, the user's own arguments fix the split, or it is not certain which
            parameter chooses it; says what was found, and how to state it.
    """
    about = f"{where}: '{class_path}'"
    found = _list_parameters(cls, about)
    _check_names(found, arguments, where)
    if split_args is not None:
        for given in split_args.values():
            _check_names(found, given, where)
        return dict(split_args[split])
    choosers = {name: ways for name, parameter in found.named.items() if (ways := _ways(name, parameter))}
    free = {name: ways for name, ways in choosers.items() if name not in arguments}
    fixed = [name for name in choosers if name in arguments]
    wrong = [name for name in fixed if name == "train" or not free]
    wrong += [name for name, value in arguments.items() if isinstance(value, str) and _SPLIT_NAME.fullmatch(value)]
    if wrong:
        raise ConfigError(
            f"{about}: 'args' has '{wrong[0]}: {arguments[wrong[0]]}', which chooses a split, so train and test would "
            f"be the same images. Leave it out. {_how_to_state(wrong[0])}"
        )
    if len(free) > 1:
        own = [name for name in free if name in found.own and _is_certain(name, found.named[name])]
        if len(own) != 1 or any(name in found.own for name in free if name != own[0]):
            names = " and ".join(f"'{name}'" for name in free)
            raise ConfigError(
                f"{about} takes {names}, and it is not certain which of them says what is for testing. "
                f"{_how_to_state(next(iter(free)))}"
            )
        free = {own[0]: free[own[0]]}
    if not free:
        others = ", ".join(str(parameter) for parameter in found.named.values()) or "none"
        raise ConfigError(
            f"{about} takes neither 'split' nor 'train' that says which images are for testing (its parameters: "
            f"{others}). Give its __init__ one of them. {_how_to_state('mode')}"
        )
    ((name, ways),) = free.items()
    return {name: ways[split]}


def accepted_names(cls: Any, where: str) -> set[str]:
    """Return the names of the arguments that a class takes, those of its base classes included if it passes them on.

    Raises:
        ConfigError: If it cannot be called.
    """
    return set(_list_parameters(cls, where).named)


@dataclass
class _Parameters:
    """The parameters of a class by name.

    Attributes:
        named: All of them.
        own: The names of those that it takes itself, and does not pass on in `**kwargs`.
        is_open: Whether it takes any other argument as well.
    """

    named: dict[str, inspect.Parameter] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    is_open: bool = False


def _list_parameters(cls: Any, about: str) -> _Parameters:
    found = _Parameters()
    found.is_open = _add(found, cls, about)
    found.own = set(found.named)
    makers = [base for base in getattr(cls, "__mro__", ()) if "__init__" in vars(base) and base is not object]
    for base in makers[1:]:
        if not found.is_open:
            break
        found.is_open = _add(found, vars(base)["__init__"], about)
    return found


def _add(found: _Parameters, function: Any, about: str) -> bool:
    """Add the parameters of a function; return whether it passes others on."""
    try:
        parameters = _read_signature(function).parameters
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{about} is no class of a dataset: {error}") from error
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and name != "self":
            found.named.setdefault(name, parameter)
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def _read_signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except (NameError, AttributeError, SyntaxError, TypeError):  # an annotation that cannot be evaluated
        return inspect.signature(function)


def _check_names(found: _Parameters, arguments: Mapping[str, Any], where: str) -> None:
    if "root" in arguments:
        raise ConfigError(
            f"{where}: 'root' is not among the arguments to give: it is data/external/<dataset> if that folder exists, "
            "otherwise data/raw/<dataset>. Move the files there, or make that folder a link to theirs."
        )
    for name in arguments:
        if name not in found.named and not found.is_open:
            raise unknown_name("argument", name, [n for n in found.named if n != "root"], where)


def _ways(name: str, parameter: inspect.Parameter) -> dict[str, Any] | None:
    """Return the value of a parameter for each split; `None` if it does not choose between train and test."""
    listed = _listed_values(parameter.annotation)
    if listed is not None:
        by_name = {key.lower(): value for key, value in listed.items()}
        return {split: by_name[split] for split in SPLITS} if by_name.keys() >= set(SPLITS) else None
    annotation, default = parameter.annotation, parameter.default
    is_unstated = default is parameter.empty or default is None
    if name == "train" and annotation not in (str, int, float) and (is_unstated or isinstance(default, bool)):
        return {"train": True, "test": False}
    if name == "split" and annotation not in (bool, int, float) and (is_unstated or isinstance(default, str)):
        return {split: split for split in SPLITS}
    return None


def _is_certain(name: str, parameter: inspect.Parameter) -> bool:
    return name == "train" or parameter.default in SPLITS or _listed_values(parameter.annotation) is not None


def _listed_values(annotation: Any) -> dict[str, Any] | None:
    """Return the values that an enumeration or `Literal` lists, by their text; `None` for any other annotation."""
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        by_value = {str(member.value): member for member in annotation}
        return {**by_value, **{member.name: member for member in annotation}}
    if typing.get_origin(annotation) is typing.Literal:
        return {str(value): value for value in typing.get_args(annotation)}
    for part in typing.get_args(annotation):  # as in Literal[...] | None
        if part is not type(None) and (listed := _listed_values(part)) is not None:
            return listed
    return None


def _how_to_state(name: str) -> str:
    values = ("true", "false") if name == "train" else SPLITS
    return (
        "Or state the arguments of each split next to 'class': "
        f"split_args: {{train: {{{name}: {values[0]}}}, test: {{{name}: {values[1]}}}}}, with the values that it knows."
    )
