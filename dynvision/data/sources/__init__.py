"""Where the images of a dataset come from, one module for each kind of source.

A new kind is a module here, with a subclass of `ExportedSource`, and its line in `dynvision.config.datasets`.
"""
