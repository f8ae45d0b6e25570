"""The job `make`: targets, and only what they need, in one run."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dynvision.config.values.names import dagster_name
from dynvision.engines.here import HereEngine
from dynvision.errors import ConfigError, DynvisionError
from dynvision.system.escaping import escape_markdown
from dynvision.system.progress import say
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.leftovers import parse_existing
from dynvision.workspace.scheduling import Schedule, ScheduleOptions
from dynvision.workspace.unused_patterns import describe_unused_patterns
from dynvision_assets.instances.run_processes import tag_run
from dynvision_assets.resources import AS_CONFIGURED, ComputeResource, plain_failures
from dynvision_assets.run_config import MakeConfig
from dynvision_assets.runs.events import show_as_begun
from dynvision_assets.runs.freshness import describe_assets_of
from dynvision_assets.runs.observing import observe_config
from dynvision_assets.runs.reporting import Event, Reporter
from dynvision_assets.runs.resuming import find_forced
from dynvision_assets.runs.tags import describe_run
from dynvision_assets.runs.unknown import find_unknown

__all__ = ["BUILD", "MAKE", "TARGETS_TAG", "make_experiment_jobs", "make_job"]

MAKE = "make"
"""The name of the job, and of the command that does the same."""

BUILD = "build"
"""The name of its op. Dagster wants another one than that of the job."""

TARGETS_TAG = "dynvision/make"
"""The tag of a run that names what it makes."""

DESCRIPTION = """\
Builds targets, and of everything that they are made from only what is missing or stale: what `dynvision make` does, in
one run. Targets that do not depend on each other are computed at once, if the engine of `config_compute.yaml` can.

Open the Launchpad and name the targets, each as an asset key (all of its partitions), a key with a partition, or a path
under `data/`:

```yaml
ops:
  build:
    config:
      targets: ["summary/contrast/rcnn_gratings", "responses/duration/rcnn_gratings:5"]
```

Each finished target appears in its asset at once. If one fails, the others are built all the same, and the run fails
and names it. What is up to date and was never shown here, because it was made elsewhere, appears in its asset, too.
"""

EXPERIMENT_DESCRIPTION = """\
{about}Builds the experiment `{experiment}` on all of its subjects, up to its tables and pictures, and of everything
that they are made from only what is missing or stale: what `dynvision experiment {experiment}` does, in one run.

Open the Launchpad and click *Launch Run*. The targets are filled in; take out those that you do not want, or write one
condition: `responses/{experiment}/<subject>:<condition>`.
"""


@dg.op(
    name=BUILD,
    out={"built": dg.Out(io_manager_key="step_io_manager")},
    description="Plans, computes with the engine, and records each target when it is finished.",
)
def build_op(context: dg.OpExecutionContext, config: MakeConfig, compute: ComputeResource) -> Iterator[Any]:
    """Build the targets of the configuration; the output is what was built, as text."""
    with plain_failures(MAKE), compute.closed_if_stopped():
        workspace = compute.open_workspace()
        reporter = Reporter(workspace, context.instance, every=False)
        yield from _make(context, config, compute, workspace, reporter)
        yield dg.Output([str(target) for target in reporter.built], "built")


def make_job() -> dg.JobDefinition:
    """Make the job. It needs the resources `compute` and `step_io_manager`."""
    return _make_job(MAKE, DESCRIPTION, None)


def make_experiment_jobs(workspace: Workspace) -> list[dg.JobDefinition]:
    """Make a job for each experiment: the job `make` with its targets filled in, which can be changed for a run."""
    # The configuration has checked that their names are distinct in Dagster, too.
    names = workspace.config.experiments
    return [_make_job(f"{MAKE}_{dagster_name(name)}", *_fill_in(workspace, name)) for name in names]


def _fill_in(workspace: Workspace, experiment: str) -> tuple[str, dict[str, Any]]:
    """Return the description of an experiment's job, and the settings that the Launchpad offers for it."""
    tags = {key: workspace.stages[key[0]].tags(key) for key in workspace.keys}
    keys = [key for key, named in tags.items() if named.get("experiment") == experiment]
    if len(workspace.config.subjects_of(experiment)) == 1:
        keys = [key for key in keys if "subject" in tags[key]]  # without the comparison of subjects
    about = workspace.config.experiments[experiment].description
    description = EXPERIMENT_DESCRIPTION.format(
        experiment=experiment, about=f"{escape_markdown(about)}\n\n" if about else ""
    )
    targets = ["/".join(key) for key in keys]
    return description, {
        "ops": {BUILD: {"config": {"targets": targets, "force": False, "wait": True}}},
        "resources": {"compute": {"config": {"engine": AS_CONFIGURED}}},
    }


def _make_job(name: str, description: str, config: dict[str, Any] | None) -> dg.JobDefinition:
    graph = dg.GraphDefinition(name, node_defs=[build_op])
    return graph.to_job(description=description, config=config)


def _make(
    context: dg.OpExecutionContext,
    config: MakeConfig,
    compute: ComputeResource,
    workspace: Workspace,
    reporter: Reporter,
) -> Iterator[Event]:
    """Plan the targets, build what is missing or stale, and yield the events of each that is finished.

    Before that, what is up to date and Dagster does not know is reported to it.

    Raises:
        UnknownNameError: If a target has no such name; the message names the nearest.
        DynvisionError: If something could not be built.
    """
    named = ", ".join(config.targets)
    tag_run(context.instance, context.run_id, {**compute.run_tags, TARGETS_TAG: named[:200]})
    targets = _parse(workspace, config.targets)
    context.instance.add_run_tags(context.run_id, describe_run(workspace, context.instance, context.run_id, targets))
    again = targets if config.force else ()
    forced = find_forced(workspace, context.instance, context.run_id, again)
    existing = find_unknown(workspace, context.instance, targets)
    yield from reporter.report_existing((target, record) for target, record in existing if target not in forced)
    plan = workspace.plan(targets, config.force)
    if not plan:
        context.log.info("everything is up to date; nothing to do")
        return
    schedule = _open_schedule(context, config, compute, workspace, plan, forced)
    try:
        yield from reporter.report(schedule)
    except DynvisionError as error:
        error.kept = tuple(map(str, reporter.built))
        yield from describe_assets_of(workspace, reporter.built)
        raise
    yield from describe_assets_of(workspace, reporter.built)


def _open_schedule(
    context: dg.OpExecutionContext,
    config: MakeConfig,
    compute: ComputeResource,
    workspace: Workspace,
    plan: list[Target],
    forced: frozenset[Target],
) -> Schedule:
    """Return what builds a plan with the engine of the run. It tells in the terminal and in the log of the run."""

    def tell(line: str) -> None:
        say(line)
        context.log.info(line)

    for sentence in describe_unused_patterns(workspace):
        context.log.warning(sentence)

    def begin(target: Target) -> None:
        observe_config(workspace, context.instance, target)
        show_as_begun(workspace, context, target)

    engine = compute.open_engine(tell)
    options = ScheduleOptions(
        forced=forced,
        wait=config.wait,
        tell=tell,
        # The child process of this one draws its progress on the terminal by itself.
        progress=context.log.info if isinstance(engine, HereEngine) else tell,
        begin=begin,
    )
    return Schedule(workspace, plan, engine, options)


def _parse(workspace: Workspace, texts: list[str]) -> list[Target]:
    """Return the targets that texts name, each once.

    Raises:
        ConfigError: If there is no text.
        UnknownNameError: If nothing has such a name.
    """
    if not texts:
        raise ConfigError('no target is named. Write one in the Launchpad: targets: ["summary/contrast/rcnn_gratings"]')
    return list(dict.fromkeys(target for text in texts for target in parse_existing(workspace, text)))
