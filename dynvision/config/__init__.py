"""The validated configuration: `load_config` reads the three YAML files of a config folder."""

from dynvision.config.reading import find_config_folder, load_config
from dynvision.config.schema import Config

__all__ = ["Config", "find_config_folder", "load_config"]
