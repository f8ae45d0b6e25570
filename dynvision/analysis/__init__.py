"""Analysis of recorded responses.

The modules of this folder measure responses, read numbers from time courses and fit curves. `sweeps` says which of this
is done for which swept parameter and makes the tables of a whole experiment. `figures` draws the tables.
"""
