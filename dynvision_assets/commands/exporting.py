"""The command that writes responses for other programs: `export`."""

from __future__ import annotations

from pathlib import Path

import click

from dynvision.errors import ConfigError
from dynvision.exports.formats import SUFFIXES
from dynvision_assets.commands.completion import TargetName
from dynvision_assets.commands.support import TARGETS, open_workspace, parse_targets, print_json, readable_errors

__all__ = ["export"]

EXPORT = f"""Write the responses of a TARGET to a netCDF file that plain xarray opens.

{TARGETS}

\b
Formats:
  netcdf    a group for each layer, labels and scores at the root
  brainio   one variable, presentation × neuroid × time bin, in the shape of BrainIO's assemblies

\b
Examples:
  dynvision export responses/contrast/rcnn_gratings
  dynvision export responses/contrast/rcnn_gratings:0.4 --format brainio --layer V1 --layer IT
  dynvision export --per-condition --output /scratch/exports responses/contrast/rcnn_gratings

Without --output, files are in data/exports/. A file is there whole or not at all, and only an earlier export of the
same responses is replaced without --overwrite. The names of the files are printed.
"""


@click.command(help=EXPORT, short_help="Write responses as netCDF for other programs.")
@click.argument("target", type=TargetName())
@click.option("--format", "form", type=click.Choice(list(SUFFIXES)), default="netcdf", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="The file, or the folder with --per-condition.")
@click.option("--layer", "layers", multiple=True, help="Only this layer; may be given several times.")
@click.option("--per-condition", is_flag=True, help="Write one file for each condition.")
@click.option("--allow-missing", is_flag=True, help="Export the conditions that have been made.")
@click.option("--overwrite", is_flag=True, help="Replace also a file that is something else.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for a script to read.")
def export(
    target: str,
    form: str,
    output: Path | None,
    layers: tuple[str, ...],
    per_condition: bool,
    allow_missing: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write responses as netCDF for other programs."""
    with readable_errors():
        from dynvision_assets.exporting import export_from

        workspace = open_workspace()
        chosen = parse_targets(workspace, [target])
        if len({one.key for one in chosen}) != 1:
            raise ConfigError(f"{target} names several assets; export one after the other.")
        files = export_from(
            workspace,
            chosen,
            form,
            output,
            per_condition=per_condition,
            layers=layers,
            overwrite=overwrite,
            allow_missing=allow_missing,
        )
        if as_json:
            print_json([{"path": str(file), "bytes": file.stat().st_size} for file in files])
            return
        for file in files:
            click.echo(f"{file}  ({file.stat().st_size / 1e6:,.1f} MB)")
