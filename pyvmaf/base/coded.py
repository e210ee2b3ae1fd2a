"""A text column of many rows, stored as its distinct names and an integer code per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Coded:
    """Names of rows, stored as codes. Indexing and `numpy.asarray` give text.

    Attributes:
        names: str [k], distinct and sorted; each is the name of some row.
        codes: int32 [n], index of each row's name in `names`.
    """

    names: NDArray[np.str_]
    codes: NDArray[np.int32]

    @staticmethod
    def of(values: Coded | Sequence[str] | NDArray[np.str_]) -> Coded:
        """Encode a sequence of names."""
        if isinstance(values, Coded):
            return values
        names, codes = np.unique(np.asarray(values, dtype=np.str_), return_inverse=True)
        return Coded(names, codes.astype(np.int32))

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.codes.size)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, rows: Any) -> Any:
        return self.names[self.codes[rows]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.names[self.codes], dtype=dtype)

    def tolist(self) -> list[str]:
        """The name of every row."""
        return [str(name) for name in self.names[self.codes].tolist()]
