"""The inside of the data loaders: from images to stimuli in time."""
