"""The command line: `dynvision make | experiment | list | show | status | verify | ui | demo | completion`."""

from __future__ import annotations

import click

from dynvision.system.machine import collect_garbage_seldom
from dynvision_assets.commands.completion import completion
from dynvision_assets.commands.looking import list_assets, show, status, verify
from dynvision_assets.commands.making import demo, experiment, make
from dynvision_assets.commands.serving import ui

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dynvision-assets")
def main() -> None:
    """From raw images to the responses of recurrent vision networks to stimuli in time.

    \b
    Examples:
      dynvision demo                                      the whole chain on the built-in gratings
      dynvision list                                      all assets, and how much of each has been made
      dynvision make responses/contrast/rcnn_gratings     all contrasts, and everything they are made from
      dynvision experiment contrast                       an experiment, up to its tables and pictures
      dynvision show data/processed/gratings/test_all     counts, shapes, versions
      dynvision ui                                        the graph in the browser

    Everything is under the root: $DYNVISION_ROOT, otherwise the nearest folder at or above the current one that is a
    root already, otherwise the current folder. The configuration is in $DYNVISION_CONFIG, otherwise in config/ of the
    root, otherwise the packaged copy is used.

    Exit codes: 0 done, 1 failed, 2 wrong name, usage or configuration, 130 stopped with Ctrl-C.
    """  # noqa: D301  # \\b is click's mark for a paragraph that is not rewrapped
    # For the whole process: most commands are over soon, and spend much of their time importing.
    collect_garbage_seldom()


for _command in (make, experiment, list_assets, show, status, verify, ui, demo, completion):
    main.add_command(_command)


if __name__ == "__main__":
    main(prog_name="dynvision")
