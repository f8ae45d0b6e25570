"""What fits together in a subject: its network, the images that it is shown, and how these are standardized."""

from __future__ import annotations

from dataclasses import dataclass

from dynvision.config.schema import Config
from dynvision.config.sections.data import Statistics
from dynvision.config.sections.experiments import Subject
from dynvision.errors import ConfigError, unknown_name

__all__ = ["Standardization", "check_subject", "choose_standardization"]


@dataclass(frozen=True)
class Standardization:
    """By which numbers the images that a subject is shown are standardized.

    Attributes:
        of: Whose they are: the shown `dataset`, the `network`'s own, or the dataset that it was `trained_on`.
        statistics: Mean and deviation of each channel.
    """

    of: str
    statistics: Statistics


def choose_standardization(config: Config, subject: Subject) -> Standardization | None:
    """Choose mean and deviation of the images that a subject is shown; `None` if nothing says them.

    `standardize: dataset` takes those of the shown dataset, `standardize: network` those of the network: its own, or
    else those of the dataset that it was trained on. By default the first of these three that exists is taken.
    """
    data, model = config.data.data_statistics, config.models[subject.model]
    known = {"dataset": data.get(subject.dataset), "network": model.own_statistics}
    is_elsewhere = subject.network_dataset != subject.dataset
    if is_elsewhere or model.training is not None:
        known["trained_on"] = data.get(subject.network_dataset)
    orders = {"dataset": ("dataset",), "network": ("network", "trained_on"), None: tuple(known)}
    for of in orders[subject.standardize]:
        statistics = known.get(of)
        if statistics is not None:
            return Standardization(of, statistics)
    return None


def check_subject(config: Config, name: str, where: str) -> None:
    """Check every name in a subject, and that its network, its images and their standardization go together.

    Args:
        config: The configuration.
        name: The subject.
        where: The file and the key of the subject, for messages.

    Raises:
        UnknownNameError: If there is no such model, dataset or group; the message names the nearest.
        ConfigError: If nothing says how the images are standardized.
    """
    subject = config.subjects[name]
    if subject.model not in config.models:
        raise unknown_name("model", subject.model, config.models, f"{where}.model")
    for dataset, key in ((subject.dataset, "dataset"), (subject.network_dataset, "trained_on")):
        if dataset not in config.data.data_resolution:
            raise unknown_name("dataset", dataset, config.data.data_resolution, f"{where}.{key}")
    for key, dataset, group in (
        ("trained_on", subject.network_dataset, subject.network_group),
        ("group", subject.dataset, subject.group),
    ):
        groups = config.data.groups(dataset)
        if group not in groups:
            raise unknown_name("class group", group, groups, f"{where}.{key}")
    if config.data.is_stimulus_set(subject.network_dataset) and config.models[subject.model].training is not None:
        raise ConfigError(
            f"{where}: the model '{subject.model}' is trained, and '{subject.network_dataset}' is a stimulus set, on "
            "which no network is trained. Write trained_on: <dataset>/<group>, the dataset it is trained on; or "
            "'training: null' for the model in config_models.yaml, if its weights are ready."
        )
    if config.data.is_stimulus_set(subject.network_dataset) and subject.network_group != "all":
        raise ConfigError(
            f"{where}.trained_on: '{subject.network_dataset}' is a stimulus set, on which no network is trained; leave "
            "it out. 'group' says which of its images are shown."
        )
    if choose_standardization(config, subject) is None:
        raise ConfigError(_say_what_is_missing(config, subject, where))


def _say_what_is_missing(config: Config, subject: Subject, where: str) -> str:
    """Say that nothing standardizes the images of a subject, and where to write it."""
    why = "A subject needs the mean and std of its images: contrast fades towards the mean grey."
    dataset = f"'{subject.dataset}' has no data_statistics in config_data.yaml"
    own = f"statistics of the model '{subject.model}' in config_models.yaml (training: null): imagenet, or mean and std"
    if subject.standardize == "network":
        return f"{where}.standardize: nothing says the mean and std of the network's own training. Write {own}. {why}"
    if subject.standardize == "dataset" or config.models[subject.model].training is not None:
        return f"{where}.dataset: {dataset}. {why}"
    return f"{where}.dataset: {dataset}. Write them there, or write {own}. {why}"
