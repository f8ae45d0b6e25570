"""Folders of images: which are the splits, which the classes, and what is in them."""
