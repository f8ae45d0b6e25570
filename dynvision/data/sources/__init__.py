"""Where the images of a dataset come from, one module a source."""
