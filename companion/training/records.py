"""Frozen run records, their keys, and the folder of raw results.

A run is named by what determines its numbers and by nothing else: the key is the hash of the record, so two arms that
ask for the same training share one run, and a changed recipe can never be mistaken for an old result.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor


def fingerprint(*tensors: Tensor) -> str:
    """Return the SHA-256 of the tensors' dtypes, shapes and bytes, in order: the checksum a record carries.

    Example:
        >>> import torch
        >>> fingerprint(torch.zeros(2)) == fingerprint(torch.zeros(2)), fingerprint(torch.zeros(2)) == fingerprint(torch.zeros(3))
        (True, False)
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: infinities and NaN become ``None``, tuples lists, mappings dicts."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


@dataclass(frozen=True)
class RunRecord:
    """Everything that determines the numbers of one run.

    Attributes:
        setting: data, network, optimiser, schedule, epochs and all else that every arm of a comparison shares.
        role: ``"search"`` (judged on rows held out of training) or ``"final"``.
        builder: name of the function that makes the objective of the knobs.
        knobs: learning rate and knobs, by name.
        objective: what the builder made of them, described in plain values.
        checksum: of the data.
        seed: fixes initial weights, batch order, augmentation, dropout, label noise (and the split of a graph).
    """

    setting: Mapping[str, Any]
    role: str
    builder: str
    knobs: Mapping[str, Any]
    objective: Any
    checksum: str
    seed: int
    key: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", hashlib.sha256(self.canonical().encode()).hexdigest()[:20])

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON values, without its key."""
        values = plain(asdict(self))
        values.pop("key")
        return values

    def canonical(self) -> str:
        """Return the one JSON text that is hashed: sorted names, no spaces."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunRecord:
        """Build a record from what :meth:`to_dict` returned."""
        return cls(**values)


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the whole new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # `tempfile` would make the file readable by its owner alone; `open` asks the user's umask.
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def runs_folder(folder: str | Path | None = None) -> Path:
    """Return where raw results go: ``folder``, else ``COMPANION_RUNS``, else ``runs`` in the current directory."""
    return Path(folder or os.environ.get("COMPANION_RUNS", "runs"))


class RunStore:
    """A folder of raw results, one JSON file a run, and of checkpoints of runs in flight.

    Args:
        folder: where the files go.
        recorded: runs known from elsewhere (a packed file), by key; they count as finished.

    Example:
        >>> import tempfile
        >>> store = RunStore(tempfile.mkdtemp())
        >>> store.has("0123")
        False
    """

    def __init__(self, folder: str | Path, *, recorded: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.folder, self.recorded = Path(folder), dict(recorded or {})
        for together in self.folder.glob("*.together"):  # a kill came between the whole and its parts
            self._take_apart(together)

    def path(self, key: str) -> Path:
        """Return the file of a finished run."""
        return self.folder / f"{key}.json"

    def checkpoint(self, name: str) -> Path:
        """Return the file of a run (or stack of runs) in flight."""
        return self.folder / f"{name}.checkpoint"

    def has(self, key: str) -> bool:
        """Say whether the run is finished."""
        return key in self.recorded or self.path(key).exists()

    def load(self, key: str) -> dict[str, Any]:
        """Return one raw result, from its own file if there is one."""
        if key in self.recorded and not self.path(key).exists():
            return dict(self.recorded[key])
        return json.loads(self.path(key).read_text())

    def save(self, key: str, result: Mapping[str, Any]) -> None:
        """Write one raw result atomically."""
        write_atomic(self.path(key), _json(result))

    def save_together(self, name: str, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the results of runs that trained together: after a kill at any moment either all are there or none.

        Args:
            name: of the stack.
            results: key to raw result.
        """
        if len(results) == 1:
            ((key, result),) = results.items()
            self.save(key, result)
            return
        together = self.folder / f"{name}.together"
        write_atomic(together, _json(results))
        self._take_apart(together)

    def check_writable(self) -> None:
        """Raise unless the folder can be written.

        Raises:
            ValueError: it cannot; the message says what to do.
        """
        probe = self.folder / f"{uuid.uuid4().hex}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ValueError(
                f"{self.folder} cannot be written ({error.strerror}): name another folder with --folder or COMPANION_RUNS"
            ) from error

    def _take_apart(self, together: Path) -> None:
        try:
            results = json.loads(together.read_text())
        except FileNotFoundError:  # another process has just done it
            return
        for key, result in results.items():
            self.save(key, result)
        together.unlink(missing_ok=True)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(plain(value), allow_nan=False, separators=(",", ":")).encode()
