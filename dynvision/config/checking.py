"""The checks of a whole configuration: the names that one file uses from another, and what fits together."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from dynvision.config.conditions import all_conditions, presentation_of
from dynvision.config.datasets import check_datasets
from dynvision.config.meaning import check_meaning
from dynvision.config.networks import check_arguments, step_length
from dynvision.config.schema import Config
from dynvision.config.sections.experiments import ExperimentConfig
from dynvision.config.sections.models import ModelConfig
from dynvision.config.subjects import check_subject
from dynvision.config.values.limits import MOST_LEVELS
from dynvision.config.values.names import check_distinct, dagster_name, repeats
from dynvision.errors import ConfigError, unknown_name
from dynvision.paths import ALL_SUBJECTS, PHENOMENA

__all__ = ["check_config"]

_LONGEST_CONDITION = 200
"""A file name holds 255 bytes, and the names of locks and temporary files are longer than those of stores."""

_MOST_PAIRS = 1_000_000


def check_config(config: Config) -> None:
    """Check every name that refers to another entry, and everything that has to fit together.

    Raises:
        UnknownNameError: If a name does not exist; the message names file, key and nearest name.
        ConfigError: If something does not fit its dataset, experiment or model.
    """
    _check_data(config)
    for name, model in config.models.items():
        try:
            check_arguments(model.class_path, model.args)
        except ValueError as error:
            raise ConfigError(f"{config.folder / 'config_models.yaml'}: models.{name}.args: {error}") from error
        _check_training(config, name, model)
    check_meaning(config)
    for name in config.subjects:
        check_subject(config, name, f"{config.folder / 'config_experiments.yaml'}: subjects.{name}")
    known: dict[str, _Lengths] = {}
    for name, experiment in config.experiments.items():
        where = f"{config.folder / 'config_experiments.yaml'}: experiment_config.{name}"
        if name in (ALL_SUBJECTS, PHENOMENA):
            raise ConfigError(
                f"{where}: the summaries use the name '{name}' themselves; give the experiment another name"
            )
        chosen = config.subjects_of(name)
        for subject in chosen:
            _check("subject", subject, config.subjects, f"{where}.subjects")
        if repeated := repeats(chosen):
            raise ConfigError(f"{where}.subjects: '{repeated[0]}' is listed twice")
        if experiment.compare_on is not None:
            _check("dataset", experiment.compare_on, config.data.data_resolution, f"{where}.compare_on")
        for subject in chosen:
            config.record(name, subject)
            config.run(name, subject)
            _check_epoch(config, experiment, subject, where)
        _check_presentations(config, experiment, chosen, where, known)
    _check_distinct_names(config)


def _check_data(config: Config) -> None:
    where, data = config.folder / "config_data.yaml", config.data
    for key in (
        "data_statistics",
        "bit_depth",
        "data_groups",
        "data_sources",
        "class_index_files",
        "write_mode",
        "max_shared_images",
    ):
        for dataset in getattr(data, key):
            _check("dataset", dataset, data.data_resolution, f"{where}: {key}")
    for dataset in data.mounts():
        _check("dataset", dataset, data.data_resolution, f"{where}: mounted_datasets")
    check_datasets(data, where)


def _check_training(config: Config, name: str, model: ModelConfig) -> None:
    if model.training is None:
        return
    where = f"{config.folder / 'config_models.yaml'}: models.{name}.training"
    for dataset in model.training.datasets:
        _check("dataset", dataset, config.data.data_resolution, f"{where}.datasets")
        if config.data.is_stimulus_set(dataset):
            raise ConfigError(f"{where}.datasets: '{dataset}' is a stimulus set, on which no network is trained")
    presets = {model.training.transform, *(model.training.for_dataset(d).transform for d in model.training.datasets)}
    for preset in presets - {None}:
        _check("transform preset", str(preset), config.data.transform_presets, f"{where}.transform")


def _check_epoch(config: Config, experiment: ExperimentConfig, subject: str, where: str) -> None:
    """Raise if the network is never trained as long as the experiment wants it."""
    _, marked, epoch = experiment.status.partition("trained-epoch=")
    if not marked:
        return
    network, dataset = config.subjects[subject].model, config.subjects[subject].network_dataset
    training = config.models[network].training
    epochs = training.for_dataset(dataset).epochs if training is not None else 0
    if int(epoch) > epochs:
        raise ConfigError(
            f"{where}.status: the model '{network}' of the subject '{subject}' is trained for {epochs} epochs on "
            f"'{dataset}', so there is no epoch {epoch}. Name an earlier one, or train longer."
        )


_Lengths = tuple[set[int], set[float | None], bool]


def _check_presentations(
    config: Config,
    experiment: ExperimentConfig,
    subjects: Iterable[str],
    where: str,
    known: dict[str, _Lengths],
) -> None:
    _check_size(experiment, where)
    # Experiments that differ in other things show the same; repr tells 1, 1.0 and True apart.
    shown = repr((experiment.data_loader, experiment.data_args, experiment.parameters, experiment.readout))
    if shown not in known:
        known[shown] = _measure_presentations(experiment, where)
    lengths, step_lengths, needs_classes = known[shown]
    if needs_classes:
        _check_groups(config, subjects, where)
    _check_step_lengths(config, step_lengths, subjects, where)
    if len(lengths) > 1:
        raise ConfigError(
            f"{where}.data_args: the conditions last {', '.join(map(str, sorted(lengths)))} steps; those of one "
            "experiment have one length, so that their responses can be compared step by step. Set n_timesteps."
        )


def _measure_presentations(experiment: ExperimentConfig, where: str) -> _Lengths:
    """Return the numbers of steps of all conditions, the lengths of a step, and whether a trial needs several classes.

    Raises:
        ConfigError: If a condition is no presentation, or the readout does not fit it.
    """
    lengths, step_lengths, needs_classes = set[int](), set[float | None](), False
    for condition in all_conditions(experiment):
        try:
            presentation = presentation_of(experiment, condition)
            presentation.window(experiment.readout.window, experiment.readout.image)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{where}.data_args: {error}") from error
        if experiment.readout.image >= presentation.n_images:
            raise ConfigError(
                f"{where}.readout.image: {experiment.readout.image} is to be named, but a trial shows "
                f"{presentation.n_images} image(s), counted from 0"
            )
        needs_classes = needs_classes or bool(presentation.other_class)
        lengths.add(presentation.n_timesteps)
        step_lengths.add(presentation.dt)
    return lengths, step_lengths, needs_classes


def _check_groups(config: Config, subjects: Iterable[str], where: str) -> None:
    """Raise if a subject is shown one class only, where a trial needs two."""
    for name in subjects:
        subject = config.subjects[name]
        stimuli = config.data.stimulus_sets.get(subject.dataset)
        if stimuli is not None and stimuli.label is None:
            raise ConfigError(
                f"{where}.data_args: a trial shows an image of another class ('which: other'), and the images of the "
                f"stimulus set '{subject.dataset}' (subject '{name}') have none. Name other subjects, write "
                "'which: next', or say which column of its table is the 'label'."
            )
        classes = config.data.groups(subject.dataset).get(subject.group)
        if classes is not None and len(classes) < 2:
            raise ConfigError(
                f"{where}.data_args: a trial shows an image of another class ('which: other'), and the subject "
                f"'{name}' is shown the group '{subject.group}' of one class. Name other subjects, or write "
                "'which: next'."
            )


def _check_size(experiment: ExperimentConfig, where: str) -> None:
    """Raise if there are more conditions than Dagster can show, or the name of one is too long for a file."""
    count, length = 1, -1
    for parameter, levels in experiment.levels().items():
        count *= len(levels)
        length += len(parameter) + max(map(len, levels)) + 2
    if count > MOST_LEVELS:
        raise ConfigError(f"{where}.data_args: {count} conditions, {MOST_LEVELS} at most; leave out levels")
    if length > _LONGEST_CONDITION:
        raise ConfigError(
            f"{where}.data_args: the name of a condition has {length} characters and becomes a file name, which holds "
            f"{_LONGEST_CONDITION}; give parameters or levels shorter names"
        )


def _check_step_lengths(config: Config, lengths: set[float | None], subjects: Iterable[str], where: str) -> None:
    models = {config.subjects[subject].model: subject for subject in reversed(list(subjects))}
    for model, subject in models.items():
        own = step_length(config.models[model].class_path, config.models[model].args)
        if own is None:
            continue
        for dt in lengths - {None}:
            if own != float(dt or 0):
                raise ConfigError(
                    f"{where}.data_args.dt: {dt:g} ms, but a step of the model '{model}' (subject '{subject}') is "
                    f"{own:g} ms. Give both the same."
                )


def _check_distinct_names(config: Config) -> None:
    """Raise if two names become one in Dagster, in file names, or joined with another name."""
    data, models, experiments = (config.folder / f"config_{name}.yaml" for name in ("data", "models", "experiments"))
    shown = [(name, subject) for name in config.experiments for subject in config.subjects_of(name)]
    checks: list[tuple[object, str, Iterable[tuple[str, ...]]]] = [
        (f"{data}: data_resolution", "datasets", [(name,) for name in config.datasets]),
        (f"{models}: models", "models", [(name,) for name in config.models]),
        (f"{experiments}: subjects", "subjects", [(name,) for name in config.subjects]),
        (f"{experiments}: experiment_config", "experiments", [(name,) for name in config.experiments]),
        (f"{experiments}: experiment_config", "assets", [*((name,) for name in config.experiments), *shown]),
        (f"{models}: models", "assets", _joined(config.models, config.datasets)),
    ]
    for dataset, groups in config.data.data_groups.items():
        checks.append((f"{data}: data_groups.{dataset}", "groups", [(group,) for group in groups]))
    for where, noun, names in checks:
        try:
            check_distinct(noun, names)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from error


def _joined(models: Iterable[str], datasets: Iterable[str]) -> Iterable[tuple[str, ...]]:
    """Return the pairs of models and datasets; none if no name holds what Dagster joins two names by."""
    names = [*models, *datasets]
    pairs = len(list(models)) * len(list(datasets))
    if pairs > _MOST_PAIRS or not any("__" in dagster_name(name) for name in names):
        return ()
    return ((model, dataset) for model in models for dataset in datasets)


def _check(noun: str, name: str, valid: Collection[str], where: str, shown: Iterable[str] | None = None) -> None:
    if name not in valid:
        raise unknown_name(noun, name, valid if shown is None else shown, where)
