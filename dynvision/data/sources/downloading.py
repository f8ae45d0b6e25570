"""Downloading the archives of a dataset, up to a limit, and comparing their checksums."""

from __future__ import annotations

import http.client
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from dynvision.errors import DataError, MissingError
from dynvision.system.files import make_directory, remove_leftovers, replace_file, temporary_sibling
from dynvision.system.locks import output_lock
from dynvision.system.progress import progress_bar, say

__all__ = ["ArchiveFile", "fetch_files"]

_DOWNLOAD_TIMEOUT = 6 * 3600.0
"""Seconds to wait for another process that downloads the same archive."""

_SILENCE = 60.0
"""Seconds without a byte after which a server is given up."""

_LARGEST = 1 << 30
"""The most bytes that are downloaded; the largest archive of these datasets has 170 MB."""


@dataclass(frozen=True)
class ArchiveFile:
    """A file to download.

    Attributes:
        name: Its name.
        urls: The addresses that have it; each is tried until one succeeds.
        md5: Its MD5 checksum, 32 hexadecimal digits.
    """

    name: str
    urls: tuple[str, ...]
    md5: str


def fetch_files(files: list[ArchiveFile], folder: Path, dataset: str) -> list[Path]:
    """Find files with the right checksum, or download them.

    An existing file in `folder` with another checksum is left as it is and named in the error. Files that torchvision
    itself has put next to the dataset's folder are used from there.

    Args:
        files: The files.
        folder: Where archives are kept: `data/raw/<dataset>/archive`.
        dataset: The name of the dataset, for messages.

    Returns:
        The path of each file.

    Raises:
        DataError: If a checksum is wrong.
        MissingError: If a file does not exist and cannot be downloaded; the message says where to put it.
    """
    from torchvision.datasets.utils import calculate_md5

    paths = []
    for file in files:
        path = folder / file.name
        raw = folder.parent.parent
        usable = next(
            (p for p in (raw / file.name, raw / "MNIST" / "raw" / file.name) if _has_checksum(p, file.md5)), None
        )
        if path.is_file():
            actual = calculate_md5(path)
            if actual != file.md5:
                raise DataError(_wrong_checksum(path, actual, file.md5, dataset))
        elif usable is None:
            _download(dataset, file, path)
        paths.append(path if usable is None or path.is_file() else usable)
    return paths


def _has_checksum(path: Path, md5: str) -> bool:
    from torchvision.datasets.utils import calculate_md5

    return path.is_file() and calculate_md5(path) == md5


def _download(dataset: str, file: ArchiveFile, path: Path) -> None:
    make_directory(path.parent)
    with output_lock(path.parent, timeout=_DOWNLOAD_TIMEOUT, tell=say):
        # Both splits need the same archive: whoever waited for the lock finds it downloaded.
        if not _has_checksum(path, file.md5):
            remove_leftovers(path)
            _download_from_any(dataset, file, path)


def _download_from_any(dataset: str, file: ArchiveFile, path: Path) -> None:
    from torchvision.datasets.utils import calculate_md5

    temporary = temporary_sibling(path)
    reasons = []
    wrong = []
    try:
        for url in file.urls:
            try:
                _download_url(url, temporary, file.name)
            except (OSError, ValueError, http.client.HTTPException) as error:
                reasons.append(f"{url}: {error}")
                continue
            actual = calculate_md5(temporary)
            if actual == file.md5:
                return replace_file(temporary, path)
            wrong.append(_wrong_checksum(url, actual, file.md5, dataset))
    finally:
        temporary.unlink(missing_ok=True)
    if wrong:
        raise DataError(wrong[0])
    raise MissingError(
        f"{file.name} of {dataset} does not exist and could not be downloaded ({'; '.join(reasons)}). "
        f"Put it at {path} (MD5 {file.md5}), or give a mirror: data_sources.{dataset} in config_data.yaml."
    )


def _download_url(url: str, path: Path, name: str) -> None:
    """Write what an address gives to a file.

    Raises:
        DataError: If it gives more than an archive can have.
        OSError: If the server does not answer or the file cannot be written.
        http.client.HTTPException: If the answer is not HTTP.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "dynvision"})
    with (
        urllib.request.urlopen(request, timeout=_SILENCE) as response,
        path.open("wb") as file,
        progress_bar(getattr(response, "length", None), name, "byte") as bar,  # a file on a disk says no length
    ):
        while chunk := response.read(1 << 20):
            bar.update(len(chunk))
            file.write(chunk)
            if file.tell() > _LARGEST:
                raise DataError(f"it gives more than {_LARGEST:,} bytes, the most that an archive may have")


def _wrong_checksum(where: object, actual: str, expected: str, dataset: str) -> str:
    return (
        f"{where} has the wrong checksum: MD5 {actual}, expected {expected}. Remove the file and download it "
        f"again; if it is the file you want, give its checksum under data_sources.{dataset} in config_data.yaml."
    )
