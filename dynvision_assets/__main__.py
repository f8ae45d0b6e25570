"""The program `dynvision`, also `python -m dynvision_assets`: the command line, once it can be imported."""

from __future__ import annotations

import pkgutil
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line. Say in a sentence if a library that it needs cannot be imported."""
    try:
        run = pkgutil.resolve_name("dynvision_assets.command_line:main")
    except KeyboardInterrupt:
        sys.exit(130)
    except (ImportError, OSError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        sys.exit(f"error: dynvision cannot be started: {reason}. Install it again: pip install dynvision-assets")
    run(prog_name="dynvision")


if __name__ == "__main__":
    main()
