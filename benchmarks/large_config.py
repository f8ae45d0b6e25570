"""A configuration as large as a laboratory's after years: 20 datasets × 5 groups × 50 subjects × 10 experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

DATASETS, GROUPS, SUBJECTS, EXPERIMENTS = 20, 5, 50, 10


def write_large_config(folder: Path) -> dict[str, int]:
    """Write the three files; return how many datasets, groups, subjects and experiments they have."""
    folder.mkdir(parents=True, exist_ok=True)
    datasets = ["gratings", *(f"dataset{n:02d}" for n in range(1, DATASETS))]
    groups = {f"group{n}": [n, n + 1] for n in range(GROUPS - 1)}  # 'all' is the last one
    statistics = {"mean": [0.5] * 3, "std": [0.25] * 3}
    subjects: dict[str, Any] = {}
    for number in range(SUBJECTS):
        group = (["all", *groups])[number % GROUPS]
        dataset = datasets[number % DATASETS]
        subjects[f"subject{number:02d}"] = {"model": "rcnn", "dataset": dataset, "group": group, "seed": number % 3}
    contrasts = [0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0]
    experiments: dict[str, Any] = {
        f"contrast{number}": {
            "parameter": "contrast",
            "data_loader": "StimulusContrast",
            "data_args": {"tsteps": 30, "intro": 1, "stim": number + 1, "contrast": contrasts},
        }
        for number in range(EXPERIMENTS)
    }
    files: dict[str, dict[str, Any]] = {
        "config_data.yaml": {
            "data_resolution": dict.fromkeys(datasets, 32),
            "data_statistics": dict.fromkeys(datasets, statistics),
            "data_groups": dict.fromkeys(datasets, groups),
        },
        "config_models.yaml": {"models": {"rcnn": {"class": "dynvision.models:RCNN"}}},
        "config_experiments.yaml": {"subjects": subjects, "experiment_config": experiments},
    }
    for name, content in files.items():
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False))
    return {"datasets": DATASETS, "groups": GROUPS, "subjects": SUBJECTS, "experiments": EXPERIMENTS}
