"""Where the images of a dataset come from, one module for each kind of source.

A new kind is a module here with a subclass of `ExportedSource` that names its `datasets`. If the configuration is to be
checked against the number of its classes before any image exists, `dynvision.config.datasets` states that number.
"""
