"""One error that says what of a plan failed, and what was not built because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dynvision.errors import ConfigError, DynvisionError, LockLostError, MissingError, OutputBusyError
from dynvision.targets import Target
from dynvision.workspace.workspace import Workspace

__all__ = ["say_what_is_kept", "summarize_failures"]

_MOST_NAMED = 8


def summarize_failures(failed: Mapping[Target, DynvisionError], dropped: Sequence[Target]) -> DynvisionError:
    """Return the error with which a plan ends.

    Args:
        failed: The targets that failed, each with its error; there is at least one.
        dropped: The targets that were not built because of these.

    Returns:
        The first error if it is alone, otherwise one of its kind that begins with its text.
    """
    first, *others = _by_error(failed)
    text = str(first[0]).rstrip()
    if others:
        named = [f"{_name(targets)}: {error}" for error, targets in others]
        text = f"{_end(text)}\nAlso failed:\n  " + "\n  ".join(_cut(line) for line in named)
    if dropped:
        text = f"{_end(text)}\nNot built because of that: {_name(dropped)}"
    if text == str(first[0]).rstrip():
        return first[0]
    error = type(first[0])(text)
    error.__cause__ = first[0]
    return error


def say_what_is_kept(workspace: Workspace, targets: Sequence[Target], error: DynvisionError) -> DynvisionError:
    """Return an error that also says what the next build goes on from, such as the checkpoint of a training.

    Args:
        workspace: The workspace.
        targets: The targets that one call failed to build.
        error: Its error.
    """
    # It failed before it began, or what is there is another process's.
    if isinstance(error, ConfigError | MissingError | OutputBusyError | LockLostError):
        return error
    parts = [part for target in targets if (part := workspace.stage(target).describe_unfinished(target))]
    if not parts:
        return error
    verb = "is" if len(parts) == 1 else "are"
    which = f"{len(parts)} of {len(targets)} {verb} kept in part: " if len(targets) > 1 else ""
    kept = f"{which}{parts[0]}"
    fuller = type(error)(
        f"{_end(str(error))} {kept[0].upper()}{kept[1:]}; the next make of the same goes on from there."
    )
    fuller.__cause__ = error
    return fuller


def _by_error(failed: Mapping[Target, DynvisionError]) -> list[tuple[DynvisionError, list[Target]]]:
    """Put the targets together that one call failed to build, and those of which the same was said."""
    groups: dict[str, tuple[DynvisionError, list[Target]]] = {}
    for target, error in failed.items():
        groups.setdefault(str(error), (error, []))[1].append(target)
    return list(groups.values())


def _name(targets: Sequence[Target]) -> str:
    named = ", ".join(str(target) for target in targets[:_MOST_NAMED])
    more = len(targets) - _MOST_NAMED
    return named + (f" and {more} more" if more > 0 else "")


def _end(text: str) -> str:
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def _cut(line: str, most: int = 600) -> str:
    flat = " ".join(line.split())
    return flat if len(flat) <= most else f"{flat[:most]} …"
