"""Names that results use themselves, so that no swept parameter may have them."""

from __future__ import annotations

__all__ = ["COORDINATES", "GROUP_COLUMNS", "RESERVED_PARAMETERS", "STORE_NAMES"]

STORE_NAMES = frozenset(
    {
        *("scores", "predicted", "confidence", "rank", "label", "group_label", "source", "shown", "contrast_shown"),
        *("rest", "single", "step", "image_contrast", "class_name", "label_name", "image_label_name"),
        *("class", "sample", "time", "time_ms", "image", "image_label", "image_group_label", "image_source"),
        *("image_stimulus_id", "stimulus_id", "filename", "output"),
    }
)
"""Names that a store of responses and its tables use themselves. A layer of such a name is stored as `<name>_`."""

_LAYER_NAMES = frozenset({"unit", "channel", "token", "y", "x", "response", "mean", "std", "feature_std"})
"""Dimensions and variables of a layer in a store."""

COORDINATES = STORE_NAMES | _LAYER_NAMES
"""Dimensions, coordinates and variables of a store of responses; no column of a stimulus set has such a name."""

_COLUMNS = frozenset(
    {
        *("condition", "layer", "measure", "value", "accuracy", "accuracy_sem", "chance", "samples", "subject"),
        "accuracy_samples",
        *("model", "parameter", "low", "high", "r2", "levels", "note"),
    }
)
"""Columns of the tables of a summary that are not in a store."""

_KEYWORDS = frozenset(
    {
        "target",
        "partition",
        "split",
        "group",
        "seed",
        "file",
        "table",
        "allow_missing",
        "format",
        "layers",
        "overwrite",
        "path",
        "per_condition",
        "root",
        "self",
        "key",
        "targets",
    }
)
"""Keywords of `dynvision_assets.load` and `export`, which take the levels of parameters as keywords, too."""

RESERVED_PARAMETERS = COORDINATES | _COLUMNS | _KEYWORDS
"""Names that no swept parameter may have."""

GROUP_COLUMNS = ("column", "value", "condition", "layer", "response", "sem", "n")
"""Columns of the table of an experiment with `group_by`, which has one for each swept parameter, too."""
