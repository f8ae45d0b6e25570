"""A configuration over a root: what can be built in it, and building it."""

from dynvision.workspace.workspace import Status, Workspace

__all__ = ["Status", "Workspace"]
