"""Labels that people gave: CIFAR-10N and CIFAR-100N, read from the files that their authors publish.

The files are not shipped and not downloaded: fetch ``CIFAR-10_human.pt`` or ``CIFAR-100_human.pt`` from the authors' page, read its licence
(CC BY-NC 4.0: not for commercial use), and put it into the folder ``cifar-n`` of your data. Nothing in it is run: it is read by the
unpickler of all data files, which knows arrays and dictionaries alone, and its clean labels must be those of the data set, row by row.

Taught in chapter 04.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion._checks import check_choice
from companion.data.formats import DamagedFileError, RestrictedUnpickler, file_digest
from companion.data.label_noise import NoisyLabels
from companion.data.loading import data_roots

__all__ = ["HumanLabels", "read_human_labels"]

_CLEAN = ("clean_label", "clean_fine_label")


def read_human_labels(path: str | Path) -> dict[str, np.ndarray]:
    """Return the label arrays of a published file by their names there, each (N,), int64.

    Args:
        path: ``CIFAR-10_human.pt`` (``clean_label``, ``aggre_label``, ``worse_label``, ``random_label1`` to 3) or
            ``CIFAR-100_human.pt`` (``clean_label``, ``noisy_label``, and the coarse ones).

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is not of that form, or asks for anything but arrays; nothing of it has been run.

    Source: Wei et al. (2022), Learning with noisy labels revisited.
    """
    path = Path(path)
    try:
        found = _dictionary(path)
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
    ) as error:
        raise DamagedFileError(f"{path} is refused: {error}") from error
    arrays = {str(name): np.asarray(values) for name, values in found.items()}
    labels = {
        name: values.astype(np.int64)
        for name, values in arrays.items()
        if values.ndim == 1 and values.dtype.kind in "iu"
    }
    if not set(_CLEAN) & set(labels) or len({len(values) for values in labels.values()}) != 1:
        raise DamagedFileError(
            f"{path} holds no clean labels beside others of the same length; it has {', '.join(arrays) or 'nothing'}"
        )
    return labels


def _dictionary(path: Path) -> dict[Any, Any]:
    """Return the dictionary that `torch.save` wrote, from an archive or from its older form, a row of pickles."""
    content = path.read_bytes()
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
            content = archive.read(name)
    stream = io.BytesIO(content)
    while stream.tell() < len(content):
        found = RestrictedUnpickler(stream, encoding="latin1").load()
        if isinstance(found, dict) and any(isinstance(values, np.ndarray) for values in found.values()):
            return found
    raise ValueError("it holds no dictionary of arrays")


def _place(file: str) -> Path:
    """Return where a published file lies: in the folder ``cifar-n`` of one of the data folders."""
    places = [root / "cifar-n" / file for root in data_roots()]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"{file} is not there: fetch it from the page of CIFAR-N (noisylabels.com), and put it into the folder cifar-n of COMPANION_DATA"
        )
    return found


@dataclass(frozen=True)
class HumanLabels:
    """The labels that people gave, as a value of a setting: every seed has the same.

    Attributes:
        file: its name, ``"CIFAR-10_human.pt"``, in the folder ``cifar-n`` of `COMPANION_DATA` or of the cache.
        name: which of its labels, ``"worse_label"``.
        sha256: of the file that was meant, so that a record names it; empty takes any.
    """

    file: str
    name: str = "worse_label"
    sha256: str = ""

    def draw(
        self, labels: Tensor, num_classes: int, *, rows: Tensor | None = None, generator: torch.Generator | None = None
    ) -> NoisyLabels:
        """Return the labels of the rows, and which differ from the true ones.

        Args:
            labels: true labels of the rows, (N,).
            num_classes: C.
            rows: which rows of the training set these are, (N,); None for all of them. (Keyword only, as the next.)
            generator: not used: nothing is drawn.

        Raises:
            FileNotFoundError: the file is not there; the message says where it comes from.
            DamagedFileError: as `read_human_labels`; or another checksum, or clean labels that are not those of the data set.
            ValueError: there are no labels of that name; the message lists what there is.
        """
        path = _place(self.file)
        if self.sha256 and self.sha256 != file_digest(path, "sha256"):
            raise DamagedFileError(f"{path} has another checksum than {self.sha256[:12]}…, which is asked for")
        found = read_human_labels(path)
        check_choice("name", self.name, [name for name in found if name not in _CLEAN])
        clean, given = (
            torch.from_numpy(found[name]) for name in (next(name for name in _CLEAN if name in found), self.name)
        )
        if rows is not None and len(clean) > int(rows.max()):
            clean, given = clean[rows.cpu()], given[rows.cpu()]
        if not torch.equal(clean, labels.cpu().long()) or int(given.max()) >= num_classes:
            raise DamagedFileError(f"the clean labels of {path} are not those of the data set, row by row")
        noisy = given.to(labels.device, labels.dtype)
        return NoisyLabels(noisy, noisy != labels, labels.clone())
