"""The command line: `dynvision make | experiment | list | show | status | verify | report | unlock | ui | …`."""

from __future__ import annotations

# First, because from then on a signal ends this with one sentence, also while the others are imported.
import dynvision_assets.signals  # noqa: F401  # isort: skip

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from dynvision.system.machine import collect_garbage_seldom
from dynvision_assets.commands.completion import completion
from dynvision_assets.commands.doctor import doctor
from dynvision_assets.commands.endings import DONE, FAILED, end_command, flush_output, usable_streams
from dynvision_assets.commands.exporting import export
from dynvision_assets.commands.filming import preview
from dynvision_assets.commands.looking import list_assets, show, status, verify
from dynvision_assets.commands.making import demo, experiment, make
from dynvision_assets.commands.reporting import report
from dynvision_assets.commands.serving import ui
from dynvision_assets.commands.unlocking import unlock

__all__ = ["main"]


COMPLETE = "_DYNVISION_COMPLETE"
"""The variable by which a shell asks for completions."""


class _Commands(click.Group):
    """The group of all commands. However one of them ends, it is with an exit code and at most a sentence."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit, as click does; see `end_command` for the exit codes."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode, **extra)
        with usable_streams():
            code = self._run(lambda: super(_Commands, self).main(args, prog_name, complete_var, False, **extra))
            sys.exit(flush_output(code))

    def _run(self, command: Callable[[], Any]) -> int:
        try:
            result = command()
        except BaseException as error:  # noqa: BLE001  # a command ends here, whatever ended it
            if COMPLETE in os.environ and not isinstance(error, SystemExit):
                return FAILED  # The user is typing: any text would stand in the middle of the line.
            return end_command(error)
        return result if isinstance(result, int) else DONE


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dynvision-assets")
def main() -> None:
    """From raw images to the responses of recurrent vision networks to stimuli in time.

    \b
    Examples:
      dynvision demo                                      the whole chain on the built-in gratings
      dynvision list                                      all assets, and how much of each has been made
      dynvision make responses/contrast/rcnn_gratings     all contrasts, and everything they are made from
      dynvision experiment contrast                       an experiment, up to its tables and pictures
      dynvision preview masking                           what it will show, drawn from the YAML alone
      dynvision show data/processed/gratings/test_all     counts, shapes, versions
      dynvision report                                    pages to look at, of all summaries
      dynvision export responses/contrast/rcnn_gratings   a netCDF file for other programs
      dynvision ui                                        the graph in the browser
      dynvision doctor --engine slurm                     whether jobs of a queue can compute for this root

    Everything is under the root: $DYNVISION_ROOT, otherwise the nearest folder at or above the current one that is a
    root already, otherwise the current folder. The configuration is in $DYNVISION_CONFIG, otherwise in config/ of the
    root, otherwise the packaged copy is used.

    Exit codes: 0 done, 1 failed, 2 wrong name, usage or configuration, 130 stopped with Ctrl-C, 143 with
    SIGTERM (128 + the number of the signal). An error is said in a sentence; the traceback of one that was not
    expected is in the log file that the sentence names, under $XDG_STATE_HOME/dynvision/logs
    (~/.local/state/dynvision/logs).
    """  # noqa: D301  # \\b is click's mark for a paragraph that is not rewrapped
    # For the whole process: most commands are over soon, and spend much of their time importing.
    collect_garbage_seldom()


for _command in (
    make,
    experiment,
    preview,
    list_assets,
    show,
    status,
    verify,
    report,
    export,
    unlock,
    ui,
    demo,
    doctor,
    completion,
):
    main.add_command(_command)


if __name__ == "__main__":
    main(prog_name="dynvision")
