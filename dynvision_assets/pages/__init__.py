"""What the pages of the UI show: in which groups assets stand, and which facts they say. Nothing here loads Dagster."""
