"""Writing and verifying `.beton` files of your own."""

from dynvision.data.betons.sidecars import verify_beton
from dynvision.data.betons.writing import write_beton
from dynvision.errors import DamagedFileError

__all__ = ["DamagedFileError", "verify_beton", "write_beton"]
