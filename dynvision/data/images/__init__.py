"""One image: reading it, its numbers, and lists of images."""
