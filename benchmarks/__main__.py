"""Run every benchmark and print its table: `make bench`, or one of them: `python -m benchmarks startup`."""

from __future__ import annotations

import importlib
import sys

BENCHMARKS = ("startup", "loaders", "data", "responses", "verification", "at_once", "scale", "pictures", "coverage")


def main() -> None:
    chosen = sys.argv[1:] or BENCHMARKS
    for name in chosen:
        if name not in BENCHMARKS:
            sys.exit(f"unknown benchmark '{name}'; the benchmarks are {', '.join(BENCHMARKS)}")
        importlib.import_module(f"benchmarks.{name}").run()


if __name__ == "__main__":
    main()
