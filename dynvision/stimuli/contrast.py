"""The contrast of an image itself. NumPy only, no torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["rms_contrast"]


def rms_contrast(images: npt.NDArray[np.floating], reference: float = 0.0) -> npt.NDArray[np.float64]:
    """Return the RMS contrast of images: the root mean square of their deviation from a grey.

    RMS contrast is the contrast of complex images (Peli, Contrast in complex images, JOSA A 7, 1990). A presentation
    multiplies it: shown with the contrast c, an image of RMS contrast R has the RMS contrast c R around the same grey.

    Args:
        images: Shape `[…, C, H, W]`, in units of the standardized image.
        reference: The grey that contrast fades towards, in the same units.

    Returns:
        Shape `[…]`: over all pixels and channels of an image, in the same units.
    """
    flat = images.reshape(-1, *images.shape[-3:])
    # Image by image, so that the sum does not depend on the batch.
    values = [np.sqrt(np.square(image.astype(np.float64) - reference).mean()) for image in flat]
    return np.array(values, dtype=np.float64).reshape(images.shape[:-3])
