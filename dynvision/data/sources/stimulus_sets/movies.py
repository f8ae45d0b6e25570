"""Video files: their frames as images, read by OpenCV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.data.sources.stimulus_sets.listing import list_tree, sort_naturally
from dynvision.errors import DataError

__all__ = ["VIDEO_SUFFIXES", "Movie", "list_videos"]

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ogv", ".gif"})


def list_videos(folder: Path) -> list[str]:
    """List the video files of a folder and of those below it, by their paths in natural order."""
    others = list_tree(folder).others if folder.is_dir() else []
    return sort_naturally(name for name in others if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES)


class Movie:
    """The frames of a video file, in order.

    Args:
        path: The file.

    Raises:
        DataError: If it cannot be opened, or has no frame.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = self._count_frames()

    @property
    def classes(self) -> Sequence[str]:
        """One nameless class, as exporting needs."""
        return [""]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        import cv2

        capture = self._open()
        try:
            for _ in range(self._count):
                was_read, frame = capture.read()
                if not was_read:
                    return
                yield 0, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        finally:
            capture.release()

    def _count_frames(self) -> int:
        """Count the frames that can be read; what files say of their number is often wrong."""
        capture, count = self._open(), 0
        try:
            while capture.grab():
                count += 1
        finally:
            capture.release()
        if count == 0:
            raise DataError(f"{self.path} holds no frame that can be read: it is damaged, or no video")
        return count

    def _open(self) -> Any:
        import cv2

        if not any("FFMPEG" in line and "YES" in line for line in cv2.getBuildInformation().splitlines()):
            raise DataError(
                f"{self.path} is a video, and this OpenCV was built without FFmpeg, which reads videos. Install "
                "another (pip install --force-reinstall opencv-python), or give each video as a folder of frames "
                "('frames: folders')."
            )
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise DataError(f"{self.path} cannot be opened: it is damaged, or no video")
        return capture
