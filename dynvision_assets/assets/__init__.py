"""The assets: one module for each stage, which registers how the assets of its stage are made."""
