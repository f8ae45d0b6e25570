"""The assets, one module a stage; each makes the assets of its stage for a workspace."""
