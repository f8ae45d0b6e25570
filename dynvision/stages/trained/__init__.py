"""What the models stage does with trained networks: their files, their training, their checks."""
