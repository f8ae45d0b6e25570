"""How long large config files take. The bounds are three times what an idle machine of 2024 needs."""

from __future__ import annotations

import time

import pytest

from dynvision.config import load_config
from tests.helpers.configuration import CONFIG, write_config

DATA, MODELS, EXPERIMENTS = "config_data.yaml", "config_models.yaml", "config_experiments.yaml"
COMMENTS = "# a comment that says little but is here all the same\n" * 190_000
NUMBERS = "{all_of_it: [" + ", ".join(map(str, range(1_300_000))) + "]}"
TEXTS = "owners:\n" + "".join(f"- team:v{i}\n" for i in range(800_000))
SUBJECTS = "".join(f"  s{i}: {{model: rcnn, dataset: gratings}}\n" for i in range(22_000))
MODEL_ENTRIES = "".join(f"  m{i}: {{class: 'a:B'}}\n" for i in range(40_000))
GROUPS = ", ".join(f"g{i}: [0, 1]" for i in range(60_000))
DATASETS = "".join(f"  d{i}: 32\n" for i in range(75_000))

LARGE = {
    "comments": (DATA, "use_ffcv", f"{COMMENTS}use_ffcv", 6),
    "numbers": (DATA, "{ends: [0, 2]}", f"{{ends: [0, 2]}}\n  own: {NUMBERS}", 6),
    "texts": (DATA, "use_ffcv", f"{TEXTS}use_ffcv", 6),
    "subjects": (EXPERIMENTS, "experiment_config", f"{SUBJECTS}experiment_config", 4.5),
    "models": (MODELS, "models:\n", f"models:\n{MODEL_ENTRIES}", 4.5),
    "groups": (DATA, "{ends: [0, 2]}", f"{{ends: [0, 2], {GROUPS}}}", 4.5),
    "datasets": (DATA, "{gratings: 32, own: 8}", f"\n  gratings: 32\n{DATASETS}", 4.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", LARGE)
def test_large_file_is_read_in_time(tmp_path, what):
    folder = write_config(tmp_path)
    file, old, new, most = LARGE[what]
    text = CONFIG[file].replace("data_resolution: {gratings: 32}", "data_resolution: {gratings: 32, own: 8}")
    (folder / file).write_text(text.replace(old, new, 1))
    assert (folder / file).stat().st_size > 0.9e6
    began = time.process_time()
    load_config(folder)
    assert time.process_time() - began < most
