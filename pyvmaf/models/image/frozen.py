"""Networks of a published backbone, which is not trained, and a head on the figures of its layers.

The backbone sees gray pictures. The head is a line, or a sum of Gaussian bumps around centres (kernel ridge regression on
centres that are chosen from the training rows); both are solved in closed form, in double precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pyvmaf.base.files import read_bytes, sha256_bytes, write_bytes
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.models.image import backbones
from pyvmaf.models.image.crops import scaled
from pyvmaf.models.image.names import FRAME, SHARED_BY_MEMBERS
from pyvmaf.models.image.networks import Scaled, one_thread
from pyvmaf.models.image.onnx_form import write
from pyvmaf.models.image.rows import PictureRows
from pyvmaf.models.image.spec import ImageSpec, Network
from pyvmaf.models.image.views import squares
from pyvmaf.models.sampling import evenly
from pyvmaf.runtime import session as runtimes

_HEAD = "head."
_FIGURES = "figures"
_LARGEST = 1 << 26
_LEAST_SPREAD = 0.01
"""Figures that vary less would be rounding errors, magnified. Those of the published weights vary by .14 or more on encodes."""
_JITTER = 1e-10

Array = NDArray[np.float64]


class Line(nn.Module):
    """Figures [n, d] to scores [n, 1]: standardised, then a weighted sum."""

    mean: Tensor
    scale: Tensor

    def __init__(self, d: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("scale", torch.ones(d))
        self.sum = nn.Linear(d, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Score figures."""
        answers: Tensor = self.sum((x - self.mean) * self.scale)
        return answers


class Bumps(nn.Module):
    """Figures [n, d] to scores [n, 1]: standardised, then a sum of exp(-|x - centre|^2 / width^2), d counted as 1."""

    mean: Tensor
    scale: Tensor

    def __init__(self, d: int, centres: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("scale", torch.ones(d))
        self.near = nn.Linear(d, centres)
        self.sum = nn.Linear(centres, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Score figures; `scale` holds the width, and `near` twice the centres with minus the square of each."""
        z = (x - self.mean) * self.scale
        # torch.mean has an ONNX form, so the square is a mean whose factor is in `near`.
        answers: Tensor = self.sum(torch.exp(self.near(z) - torch.mean(z * z, [1], True)))
        return answers


class Frozen(nn.Module):
    """Backbone and head: gray pictures [n, 1, h, w] in [0, 1] to [n, 1]."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, frame: Tensor) -> Tensor:
        """Score pictures."""
        answers: Tensor = self.head(self.backbone(frame))
        return answers


def empty(network: Network, centres: int = 1) -> Frozen:
    """Make a network whose numbers are still to be set."""
    assert network.head is not None
    published = _published(network)
    d = published.N_FIGURES
    return Frozen(published.Backbone(), Line(d) if network.head.type == "line" else Bumps(d, centres))


def _published(network: Network) -> Any:
    """The module of the backbone."""
    assert network.backbone is not None
    return backbones.load(network.backbone.model)


def restored(network: Network, state: Mapping[str, NDArray[Any]]) -> Frozen:
    """Make the network of a trained state."""
    centres = state[f"{_HEAD}near.bias"].size if f"{_HEAD}near.bias" in state else 1
    made = empty(network, centres)
    made.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return made


def read_backbone(spec: ImageSpec, path: Path) -> dict[str, NDArray[Any]]:
    """Read the converted checkpoint of the backbone, as the network for gray pictures has it.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it has another hash than the spec pins, is damaged, or is of another network.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    backbone = spec.network.backbone
    assert backbone is not None
    data = read_bytes(path, _LARGEST)
    if (digest := sha256_bytes(data)) != backbone.sha256:
        raise IntegrityError(
            f"{path} has sha256 {digest}, but {spec.name} pins {backbone.sha256} (network.backbone): convert {backbone.model} "
            "again"
        )
    try:
        tensors = load(data)
    except (SafetensorError, ValueError) as err:
        raise IntegrityError(
            f"{path} is not a readable safetensors file ({err}): convert {backbone.model} again"
        ) from err
    try:
        kept = _published(spec.network).restated(tensors)
    except KeyError as err:
        raise IntegrityError(f"{path} lacks {err.args[0]}, which {backbone.model} has: convert it again") from err
    return {SHARED_BY_MEMBERS + name: value for name, value in kept.items()}


def figures_of(
    spec: ImageSpec, backbone: Mapping[str, NDArray[Any]], data: PictureRows, kept: Path | None
) -> NDArray[np.float32]:
    """Compute the figures of all rows: float32 [rows, views, d].

    Args:
        spec: the model.
        backbone: see `read_backbone`.
        data: the rows.
        kept: file for the figures, which are read from it if it exists; None for none.
    """
    from safetensors.numpy import load, save

    if kept is not None and kept.is_file():
        return load(kept.read_bytes())[_FIGURES]
    published = _published(spec.network)
    network = published.Backbone()
    network.load_state_dict(
        {name.removeprefix(SHARED_BY_MEMBERS): torch.from_numpy(np.array(value)) for name, value in backbone.items()}
    )
    where, side = f"the backbone of {spec.name}", spec.crops.judge
    graph = write(
        network,
        name=_FIGURES,
        input_name=FRAME,
        input_shape=["batch", 1, side, side],
        output_name=_FIGURES,
        output_shape=["batch", published.N_FIGURES],
        opset=spec.export.opset,
    )
    runtime = runtimes.session(graph, where=where)
    out = np.empty((data.y.size, spec.crops.views, published.N_FIGURES), dtype=np.float32)
    for row in range(data.y.size):
        out[row] = runtimes.run(runtime, {FRAME: squares(data.picture(row), side, spec.crops.views)}, where)
    if kept is not None:
        write_bytes(kept, save({_FIGURES: out}), at_once=True)
    return out


@dataclass(frozen=True)
class Rows:
    """Training rows of a head.

    Attributes:
        x: float64 [n, d], figures of squares.
        y: float64 [n], scaled targets.
        weights: float64 [n].
        sources: source of each.
    """

    x: Array
    y: Array
    weights: Array
    sources: NDArray[np.str_]

    @classmethod
    def of(cls, spec: ImageSpec, data: PictureRows, found: NDArray[np.float32], rows: NDArray[np.int64]) -> Rows:
        """Take every square of some rows as a row of its own."""
        views = found.shape[1]
        return cls(
            x=found[rows].reshape(rows.size * views, -1).astype(np.float64),
            y=np.repeat(scaled(spec, data.y)[rows].astype(np.float64), views),
            weights=np.repeat(data.weights[rows].astype(np.float64), views),
            sources=np.repeat(np.asarray(data.groups[rows]), views),
        )


@dataclass(frozen=True)
class Solved:
    """A head: its tensors by name, and the mean loss of its training rows."""

    tensors: dict[str, NDArray[np.float32]]
    loss: float


def n_centres(spec: ImageSpec, members: Sequence[NDArray[np.int64]]) -> int:
    """Number of centres that the head of every member has, whose training rows are given."""
    assert spec.network.head is not None
    return min(spec.network.head.centres, *(rows.size * spec.crops.views for rows in members))


def solve(spec: ImageSpec, rows: Rows, centres: int, *, steps: int) -> Solved:
    """Fit a head.

    Args:
        spec: the model.
        rows: the training rows.
        centres: number of bumps.
        steps: 0 for a head that answers the mean of the targets.

    Raises:
        InputError: the equations have no stable solution.
    """
    head = spec.network.head
    assert head is not None
    mean, spread = rows.x.mean(axis=0), rows.x.std(axis=0)
    scale = np.where(spread > _LEAST_SPREAD, 1 / np.maximum(spread, _LEAST_SPREAD), 0.0)
    if head.type == "line":
        values = (rows.x - mean) * scale
        tensors, penalty = {}, np.eye(values.shape[1])
    else:
        scale = scale / head.width
        z = (rows.x - mean) * scale
        middles = z[evenly(rows.sources, np.arange(rows.y.size), centres)]
        near = (2 / z.shape[1]) * middles, -np.mean(middles * middles, axis=1)
        values, penalty = (
            np.exp(part @ near[0].T + near[1] - np.mean(part * part, axis=1, keepdims=True)) for part in (z, middles)
        )
        tensors = {"near.weight": near[0], "near.bias": near[1]}
    average = float(np.average(rows.y, weights=rows.weights))
    weights = np.zeros(values.shape[1])
    if steps:
        weights = _ridge(values, rows.y - average, rows.weights, head.penalty * penalty)
    loss = float(np.average(np.square(values @ weights + average - rows.y), weights=rows.weights))
    tensors |= {"mean": mean, "scale": scale, "sum.weight": weights[None], "sum.bias": np.array([average])}
    return Solved({_HEAD + name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}, loss)


def _ridge(values: Array, y: Array, weights: Array, penalty: Array) -> Array:
    """Solve the regression of y [n] on values [n, m] with a quadratic penalty [m, m]."""
    from scipy import linalg

    weighted = values.T * weights
    square = weighted @ values + penalty
    # Centres may coincide.
    square[np.diag_indices_from(square)] += _JITTER * float(np.trace(square)) / square.shape[0]
    try:
        found: Array = linalg.solve(square, weighted @ y, assume_a="pos")
    except linalg.LinAlgError as err:
        raise InputError(f"the head has no stable solution ({err}): use a larger network.head.penalty") from err
    return found


def answers(head: Mapping[str, NDArray[Any]], spec: ImageSpec, found: NDArray[np.float32]) -> Array:
    """Score rows by their figures [rows, views, d], as the graph does: [rows]."""
    network = restored_head(spec.network, head)
    scorer = Scaled(network, spec.target.range, spec.target.clip).eval()
    with one_thread(), torch.inference_mode():
        flat = scorer(torch.from_numpy(found.reshape(-1, found.shape[2]))).double().numpy()
    return np.asarray(flat.reshape(found.shape[:2]).mean(axis=1))


def restored_head(network: Network, state: Mapping[str, NDArray[Any]]) -> nn.Module:
    """Make the head of a trained state, whose other tensors do not count."""
    own = {name.removeprefix(_HEAD): np.array(value) for name, value in state.items() if name.startswith(_HEAD)}
    assert network.head is not None
    d = own["mean"].size
    head: nn.Module = Line(d) if network.head.type == "line" else Bumps(d, own["near.bias"].size)
    head.load_state_dict({name: torch.from_numpy(value) for name, value in own.items()})
    return head
