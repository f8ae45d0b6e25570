"""Shell completion: of targets and experiments from the configuration, and the command that installs it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

if TYPE_CHECKING:
    from dynvision.workspace import Workspace

__all__ = ["ExperimentName", "SubjectName", "TargetName", "completion"]

_BASH = """\
%(complete_func)s() {
    # Bash splits words at ':' and '=', which stand in targets: the line is read as it was typed, and of each
    # answer only what follows the last of these is given back.
    local line="${COMP_LINE:0:COMP_POINT}" reply kind value word head
    word="${line##* }"
    head="${word%%"${word##*[:=]}"}"
    COMPREPLY=()
    while IFS= read -r reply; do
        kind="${reply%%%%,*}" value="${reply#*,}"
        if [[ $kind == file ]]; then
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
    """Click's completion, with a line that is not split at `:` and `=`."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        words = os.environ["COMP_WORDS"].split()
        incomplete = "" if os.environ["COMP_WORDS"].endswith(" ") else words.pop()
        return words[1:], incomplete


add_completion_class(_Bash)


class TargetName(click.ParamType):  # type: ignore[type-arg]
    """A target; completes keys, then the partitions of a key."""

    name = "target"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        if incomplete.startswith(("data", "/", ".", "~")):
            return [CompletionItem(incomplete, type="file")]
        workspace = _workspace()
        if workspace is None:
            return []
        key, colon, _ = incomplete.partition(":")
        parts = tuple(key.split("/"))
        if colon or parts in workspace.keys:
            targets = [str(target) for target in workspace.targets(parts)] if parts in workspace.keys else []
            names = [key, *targets] if not colon else targets
        else:
            names = ["/".join(known) for known in workspace.keys]
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class ExperimentName(click.ParamType):  # type: ignore[type-arg]
    """The name of an experiment."""

    name = "experiment"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        workspace = _workspace()
        names = list(workspace.config.experiments) if workspace is not None else []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class SubjectName(click.ParamType):  # type: ignore[type-arg]
    """The name of a subject."""

    name = "subject"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        workspace = _workspace()
        names = list(workspace.config.subjects) if workspace is not None else []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _workspace() -> Workspace | None:
    """The workspace; `None` where there is none that can be read, for a completion cannot say why."""
    from dynvision.errors import DynvisionError
    from dynvision.workspace import Workspace

    try:
        return Workspace.open()
    except (DynvisionError, OSError):
        return None


@click.command(short_help="Print what makes a shell complete commands and targets.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options, targets, experiments and subjects.

    \b
    Try it in this shell:
      eval "$(dynvision completion bash)"
    Install it:
      dynvision completion bash >> ~/.bashrc
      dynvision completion zsh >> ~/.zshrc
      dynvision completion fish > ~/.config/fish/completions/dynvision.fish

    Then `dynvision make resp<Tab>` gives the responses, and a Tab after a key its partitions. Targets are those of
    $DYNVISION_ROOT and $DYNVISION_CONFIG, or of the folder that you are in.
    """  # noqa: D301  # \\b is click's mark for a paragraph that is not rewrapped
    root = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(root, {}, "dynvision", "_DYNVISION_COMPLETE").source())
