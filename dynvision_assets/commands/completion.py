"""Shell completion of targets, experiments and subjects, and the command that prints the script for a shell."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

from dynvision.engines.settings import HERE, QUEUES
from dynvision.errors import DynvisionError

if TYPE_CHECKING:
    from dynvision.workspace import Workspace

__all__ = ["ExperimentName", "SubjectName", "TargetName", "completion"]

_BASH = """\
%(complete_func)s() {
    # Bash splits words at ':' and '=', but targets contain both. So pass on the line as it was typed, and return of
    # each answer only the part after the last ':' or '='.
    local line="${COMP_LINE:0:COMP_POINT}" reply type value word head
    word="${line##* }"
    head="${word%%"${word##*[:=]}"}"
    COMPREPLY=()
    while IFS= read -r reply; do
        type="${reply%%%%,*}" value="${reply#*,}"
        if [[ $type == file ]]; then
            compopt -o default
        else
            COMPREPLY+=("${value#"$head"}")
            [[ $value == */ ]] && compopt -o nospace
        fi
    done < <(env COMP_WORDS="$line" COMP_CWORD="$COMP_CWORD" %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    """Click's completion for bash, but the line is not split at `:` and `=`."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is being typed, and that word."""
        words = os.environ["COMP_WORDS"].split()
        incomplete = "" if os.environ["COMP_WORDS"].endswith(" ") else words.pop()
        return words[1:], incomplete


add_completion_class(_Bash)


class TargetName(click.ParamType):  # type: ignore[type-arg]
    """A target. Completes keys first, then the partitions of a key; paths are left to the shell."""

    name = "target"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """Return the targets that begin with the text."""
        if incomplete.startswith(("data", "/", ".", "~")):
            return [CompletionItem(incomplete, type="file")]
        workspace = _open_workspace()
        if workspace is None:
            return []
        text, colon, _ = incomplete.partition(":")
        key = tuple(text.split("/"))
        if key in workspace.keys:
            targets = [str(target) for target in workspace.targets(key)]
            names = targets if colon else [text, *targets]
        else:
            names = [] if colon else ["/".join(known) for known in workspace.keys]
        return _complete(names, incomplete)


class ExperimentName(click.ParamType):  # type: ignore[type-arg]
    """The name of an experiment."""

    name = "experiment"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """Return the experiments that begin with the text."""
        workspace = _open_workspace()
        return _complete(workspace.config.experiments if workspace is not None else [], incomplete)


class SubjectName(click.ParamType):  # type: ignore[type-arg]
    """The name of a subject."""

    name = "subject"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """Return the subjects that begin with the text."""
        workspace = _open_workspace()
        return _complete(workspace.config.subjects if workspace is not None else [], incomplete)


class EngineName(click.ParamType):  # type: ignore[type-arg]
    """The name of an engine, or the address of a scheduler. The configuration checks it."""

    name = "engine"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """Return the engines that begin with the text."""
        return _complete((HERE, "local", *QUEUES), incomplete)


def _complete(names: Iterable[str], incomplete: str) -> list[CompletionItem[Any]]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _open_workspace() -> Workspace | None:
    """Open the workspace. Return `None` if it cannot be read, because a completion cannot show an error."""
    from dynvision.workspace import Workspace

    try:
        return Workspace.open()
    except (DynvisionError, OSError):
        return None


@click.command(short_help="Print the script that makes a shell complete commands and targets.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, targets, experiments and subjects.

    \b
    Try it in this shell:
      eval "$(dynvision completion bash)"
    Install it:
      dynvision completion bash >> ~/.bashrc
      dynvision completion zsh >> ~/.zshrc
      dynvision completion fish > ~/.config/fish/completions/dynvision.fish

    Then `dynvision make resp<Tab>` completes to the responses, and another Tab after a key to its partitions. Targets
    are those of $DYNVISION_ROOT and $DYNVISION_CONFIG, or of the root at or above the current folder.
    """  # noqa: D301  # \\b is click's mark for a paragraph that is not rewrapped
    root = click.get_current_context().find_root().command
    completer = get_completion_class(shell)
    assert completer is not None
    click.echo(completer(root, {}, "dynvision", "_DYNVISION_COMPLETE").source())
