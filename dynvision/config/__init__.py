"""The validated configuration: `load_config` reads the YAML files of a config folder."""

from dynvision.config.reading import find_config_folder, load_config, load_snapshot, read_snapshot
from dynvision.config.schema import Config
from dynvision.config.snapshot import Snapshot

__all__ = ["Config", "Snapshot", "find_config_folder", "load_config", "load_snapshot", "read_snapshot"]
