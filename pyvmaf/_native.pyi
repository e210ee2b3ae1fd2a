from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_Plane = NDArray[np.uint8] | NDArray[np.uint16]
_Indices = NDArray[np.int64]
_Values = NDArray[np.float64]

class Error(RuntimeError):
    errno: int

class Model:
    def __init__(
        self,
        source: str,
        *,
        path: str = "",
        name: str = "",
        enable_transform: bool = False,
        disable_clip: bool = False,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...

class ModelCollection:
    def __init__(
        self,
        source: str,
        *,
        path: str = "",
        name: str = "",
        enable_transform: bool = False,
        disable_clip: bool = False,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...

class Context:
    def __init__(
        self,
        width: int,
        height: int,
        pix_fmt: Literal["420", "422", "444", "400"],
        bpc: int,
        *,
        n_threads: int = 0,
        n_subsample: int = 0,
    ) -> None: ...
    def use_feature(self, extractor: str, options: Mapping[str, str]) -> None: ...
    def use_model(self, model: Model) -> None: ...
    def use_model_collection(self, collection: ModelCollection) -> None: ...
    def read(self, reference: Sequence[_Plane], distorted: Sequence[_Plane] | None, index: int) -> None: ...
    def flush(self) -> None: ...
    def feature_scores(self, key: str, indices: _Indices) -> tuple[_Values, NDArray[np.bool_]]: ...
    def import_feature_scores(self, key: str, indices: _Indices, values: _Values) -> None: ...
    def scores(self, model: Model, indices: _Indices) -> _Values: ...
    def collection_scores(self, collection: ModelCollection, indices: _Indices) -> dict[str, _Values]: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...

def predict(model: Model, keys: Sequence[str], values: _Values, chunk: int) -> _Values: ...
def predict_collection(
    collection: ModelCollection, keys: Sequence[str], values: _Values, chunk: int
) -> dict[str, _Values]: ...
def set_log_level(level: Literal["none", "error", "warning", "info", "debug"]) -> None: ...
def set_cpu_mask(mask: int) -> None: ...
def cpu_mask() -> int: ...
def simd_level() -> Literal["avx512icl", "avx512", "avx2", "neon", "c"]: ...
def version() -> str: ...
def build_info() -> dict[str, str | bool]: ...
def instruction_sets() -> list[str]: ...
def logarithms_agree(instruction_set: str) -> bool: ...

class Adm:
    def __init__(
        self,
        width: int,
        height: int,
        bpc: int,
        most_distorted: int,
        gain_limits: Sequence[float],
        additive: bool,
        view_distance: float,
        display_height: int,
        noise_weight: float,
        sensitivity: int,
        instruction_set: str,
    ) -> None: ...
    def measure(self, reference: _Plane, distorted: Sequence[_Plane]) -> NDArray[np.float32]: ...

class Motion:
    def __init__(self, width: int, height: int, bpc: int, distance: int, instruction_set: str) -> None: ...
    def measure(self, reference: _Plane) -> int: ...

class Vif:
    def __init__(
        self,
        width: int,
        height: int,
        bpc: int,
        most_distorted: int,
        gain_limits: Sequence[float],
        instruction_set: str,
    ) -> None: ...
    def measure(self, reference: _Plane, distorted: Sequence[_Plane]) -> NDArray[np.float32]: ...
