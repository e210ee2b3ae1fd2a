"""Stacked training: every fold of a cross-validation, and the model on all rows, in one loop.

Members share shapes, batch size, epochs and optimiser settings; rows, scaler, initial weights, order of rows and
dropout are each member's own, drawn from streams that depend on the seed and the member's name alone. Nothing a
member computes involves another, so one trained in a stack equals the same one trained alone.

Members whose rows fill fewer batches sit out the last steps of an epoch: members are sorted by number of batches,
so those that are active are a prefix of the stack. A short last batch is filled up with rows of weight 0 and its
loss is the mean over its true rows, as a torch DataLoader without drop_last gives it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pyvmaf.chunks import Scratch, chunks, release
from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.models.device import deterministic
from pyvmaf.models.families import OnEpoch
from pyvmaf.models.regressor.base import Base
from pyvmaf.models.regressor.curves import Curves
from pyvmaf.models.regressor.inputs import MIN_STD, Preparation
from pyvmaf.models.regressor.kernels import MlpKernel
from pyvmaf.models.regressor.networks import Mlp
from pyvmaf.models.regressor.spec import BaseSettings, Inputs
from pyvmaf.models.spec import Optimiser

CHUNK_BYTES = 32 << 20

# Dropout draws 16-bit numbers, a quarter of the cost of floats: its share is a multiple of 1/65536.
_DROPOUT_STEPS = 1 << 16


@dataclass(frozen=True)
class Member:
    """One model to fit.

    Attributes:
        held_out: name of the group that its rows leave out; None for the model on all rows.
        rows: int64 indices of its training rows, or a function that gives them, if they are too many to be kept.
    """

    held_out: str | None
    rows: NDArray[np.int64] | Callable[[], NDArray[np.int64]]

    def taken(self) -> NDArray[np.int64]:
        """Indices of its training rows."""
        return self.rows() if callable(self.rows) else self.rows


@dataclass(frozen=True)
class Fitted:
    """A trained member.

    Attributes:
        member: the rows that it was fitted on.
        prepare: turns raw rows into the network's inputs.
        base: the linear part that the network corrects, None without one.
        target: (mean, std) that its targets, or what the linear part leaves of them, were standardised with, (0, 1) for
            none; of a bounded output, (low, high - low) of its range.
        parameters: float [n_parameters] in the trainer's precision; the target's scale is folded in, unless the output
            is bounded.
        losses: float64 [epochs], mean squared training loss of each epoch on the scale that was fitted.
    """

    member: Member
    prepare: Preparation
    base: Base | None
    target: tuple[float, float]
    parameters: NDArray[np.floating]
    losses: NDArray[np.float64]


OnMembers = Callable[[int, Callable[[], list[Fitted]]], None]
"""Called after an epoch with the epochs done and a function that gives the members as they are."""


def stream(seed: int, member: str | None, purpose: str) -> np.random.Generator:
    """The random numbers of one member for one purpose, independent of which other members there are."""
    name = f"{'all' if member is None else 'without:' + member}\0{purpose}"
    words = np.frombuffer(hashlib.sha256(name.encode()).digest()[:16], dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *map(int, words)])))


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Run torch on `n` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Adam:
    """Adam and AdamW over a stack, each member with its own step count (Kingma & Ba 2015; Loshchilov & Hutter 2019).

    The arithmetic is that of torch.optim's single-tensor form.
    """

    def __init__(self, settings: Optimiser, flat: torch.Tensor, gradient: torch.Tensor, last_step: int) -> None:
        self._settings = settings
        self._flat, self._gradient = flat, gradient
        self._m, self._v, self._d = torch.zeros_like(flat), torch.zeros_like(flat), torch.empty_like(flat)
        self._prefixes: dict[int, tuple[torch.Tensor, ...]] = {}
        t = np.arange(last_step + 1, dtype=np.float64)
        t[0] = 1.0  # never used; keeps the tables free of 0/0
        self._root_bc2 = np.sqrt(1.0 - settings.beta2**t)
        self._step_size = settings.lr / (1.0 - settings.beta1**t)

    def corrections(self, steps: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Bias corrections for step counts [n, members]: root of the second one, and the step size, [n, members, 1]."""
        root = torch.from_numpy(self._root_bc2[steps][..., None]).to(self._flat)
        size = torch.from_numpy(self._step_size[steps][..., None]).to(self._flat)
        return root, size

    def step(self, k: int, root_bc2: torch.Tensor, step_size: torch.Tensor) -> None:
        """Update the first `k` members; the corrections are [k, 1]."""
        views = self._prefixes.get(k)
        if views is None:
            views = tuple(tensor[:k] for tensor in (self._flat, self._gradient, self._m, self._v, self._d))
            self._prefixes[k] = views
        p, g, m, v, d = views
        s = self._settings
        if s.weight_decay:
            if s.name == "adamw":
                p.mul_(1.0 - s.lr * s.weight_decay)
            else:
                g.add_(p, alpha=s.weight_decay)
        m.lerp_(g, 1.0 - s.beta1)
        v.mul_(s.beta2).addcmul_(g, g, value=1.0 - s.beta2)
        torch.sqrt(v, out=d)
        d.div_(root_bc2).add_(s.eps)
        torch.div(m, d, out=d)
        p.sub_(d.mul_(step_size))


class _Data:
    """One member's rows, ready for gathering, and its random streams."""

    def __init__(
        self,
        member: Member,
        X: NDArray[np.float64],
        codec: NDArray[np.float64] | None,
        y: NDArray[np.float64],
        *,
        inputs: Inputs | None,
        base: BaseSettings | None,
        seed: int,
        standardise: bool,
        network: Mlp,
        dtype: torch.dtype,
        scratch: Scratch,
        packed: NDArray[np.floating] | None,
    ) -> None:
        rows = member.taken()
        if rows.size == 0:
            raise InputError(f"nothing is left to train on when {member.held_out!r} is held out")
        self.member = member
        self.n = int(rows.size)
        self.prepare = (
            Preparation.fit(X, rows=rows)
            if inputs is None
            else Preparation.fit(
                X,
                rows=rows,
                guard=inputs.guard,
                margins=inputs.column_margins,
                transforms=inputs.column_transforms,
                names=inputs.names,
            )
        )

        def scaled() -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
            for part in chunks(rows.size):
                yield self.prepare(X[rows[part]], None if codec is None else codec[rows[part]]), y[rows[part]]

        def left() -> Iterator[NDArray[np.float64]]:
            if self.base is None:
                yield from (y[rows[part]] for part in chunks(rows.size))
            else:
                yield from (target - self.base(x) for x, target in scaled())

        self.base: Base | None = None
        if base is not None and inputs is not None:
            columns = np.array([inputs.names.index(name) for name in base.inputs])
            if base.knots is None:
                # The codec block is no part of it.
                self.base = Base.fit(
                    lambda: ((x[:, : X.shape[1]], target) for x, target in scaled()),
                    columns,
                    penalty=base.penalty,
                    limit=base.limit,
                )
            else:
                assert codec is not None  # the spec refuses it
                curves = Curves.fit(codec[rows], vocabulary(str(inputs.codec)).slots, base.knots)
                self.base = Base.fit_curves(scaled, columns, X.shape[1], curves, penalty=base.penalty, limit=base.limit)
        self.target = (0.0, 1.0)
        if network.bounds is not None:
            low, high = network.bounds
            self.target = (low, high - low)
        elif standardise:
            mean, spread = _moments(left, self.n)
            self.target = (mean, spread if spread >= MIN_STD else 1.0)
        self._dtype, self._scratch, self._n_scaled = dtype, scratch, X.shape[1]
        self._packed = packed
        # Where members can have copies of their rows: [inputs, ones, target], so that one gather fills a batch.
        self._rows = (
            self._prepared(X[rows], None if codec is None else codec[rows], y[rows]) if packed is None else None
        )
        self._index: NDArray[np.int64] | None = None
        self._order = stream(seed, member.held_out, "order")
        self.dropout = [
            stream(seed, member.held_out, f"dropout {place}") for place in range(len(network.dropped_widths))
        ]
        self.codec_dropout = stream(seed, member.held_out, "codec dropout")
        release()

    def _prepared(
        self, X: NDArray[np.float64], codec: NDArray[np.float64] | None, y: NDArray[np.float64]
    ) -> torch.Tensor:
        """[rows, inputs + 2]: inputs as the network sees them, ones, target."""
        inputs = self.prepare(X, codec)
        left = y if self.base is None else y - self.base(inputs)
        if self.hides_crf:
            inputs[:, -1] = 0
        parts = [inputs, np.ones((y.size, 1)), ((left - self.target[0]) / self.target[1])[:, None]]
        return torch.from_numpy(np.ascontiguousarray(np.hstack(parts))).to(self._dtype)

    @property
    def hides_crf(self) -> bool:
        """Whether the network does not see the CRF, the last of its inputs."""
        return self.base is not None and self.base.curves is not None

    def _unpacked(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The same for rows of the table that members share."""
        assert self._packed is not None
        values = self._packed[rows].astype(np.float64)
        X, codec = values[:, : self._n_scaled], values[:, self._n_scaled : -1]
        return self._prepared(X, codec if codec.size else None, values[:, -1])

    def steady(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs of the first row, and which of them are the same in all rows."""
        if self._rows is not None:
            inputs = self._rows[:, :-2]
            return inputs[0], (inputs == inputs[0]).all(dim=0)
        rows = self.member.taken()
        first = self._unpacked(rows[:1])[0, :-2]
        same = torch.ones(first.numel(), dtype=torch.bool)
        for part in chunks(self.n):
            same &= (self._unpacked(rows[part])[:, :-2] == first).all(dim=0)
        return first, same

    def shuffle(self, padded: int) -> None:
        """Draw the next epoch's order; it is filled up to `padded` entries with the first row."""
        if self._index is None:
            self._index = self._scratch.array(padded, np.int64)
        order = self._order.permutation(self.n)
        if self._rows is not None:
            self._index[: self.n], self._index[self.n :] = order, 0
        else:
            rows = self.member.taken()
            self._index[self.n :] = rows[0]
            for part in chunks(self.n):
                self._index[part] = rows[order[part]]
        release()

    def gather(self, start: int, stop: int) -> torch.Tensor:
        """Rows `start` to `stop` of the epoch, [stop - start, inputs + 2]."""
        assert self._index is not None
        index = self._index[start:stop]
        return self._unpacked(index) if self._rows is None else self._rows.index_select(0, torch.from_numpy(index))


class _CodecDropout:
    """Hides the codec of some rows of each batch, so that the answer for an unknown one is learned."""

    def __init__(self, inputs: Inputs, dtype: torch.dtype) -> None:
        block = vocabulary(str(inputs.codec))
        self._share, self.width = inputs.codec_dropout, block.width
        self._unknown = torch.tensor(block.blind(), dtype=dtype)
        self._slots = len(block.slots)

    def drop(self, rng: np.random.Generator, codec: torch.Tensor) -> None:
        """Put the columns of an unknown codec into some rows of codec blocks [steps, width, rows]."""
        hidden = torch.from_numpy(rng.random((codec.shape[0], 1, codec.shape[2])) < self._share)
        codec.copy_(torch.where(hidden, self._unknown[None, :, None], codec))

    def settle(self, first: torch.Tensor, inputs: torch.Tensor, constant: torch.Tensor) -> None:
        """Let codecs that no training row had count as unknown ones.

        Args:
            first: weights [units, inputs + 1] of the first layer; changed.
            inputs: those of any training row.
            constant: bool [inputs], which are the same in all rows; changed: without those of the block that an
                unknown codec has otherwise.
        """
        begin = inputs.numel() - self.width
        block, same = inputs[begin:], constant[begin:]
        unseen = same & (block == 0)
        unseen[self._slots :] = False
        taught = self._unknown != block
        weights = first[:, begin:-1]
        unknown = weights[:, : self._slots] @ self._unknown[: self._slots]
        weights[:, unseen & ~taught] = unknown[:, None]
        constant[begin:] &= ~(unseen | taught)


class StackedTrainer:
    """Fits members of one shape together. See the description of the module."""

    def __init__(
        self,
        network: Mlp,
        optimiser: Optimiser,
        *,
        batch_size: int,
        epochs: int,
        seed: int,
        inputs: Inputs | None = None,
        base: BaseSettings | None = None,
        standardise: bool = False,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> None:
        """Keep the settings.

        Args:
            network: the network to fit.
            optimiser: how.
            batch_size: rows per step.
            epochs: passes over each member's rows.
            seed: of every random stream.
            inputs: guard and transforms of the feature columns, and the share of codecs to drop; None for neither.
            base: settings of the linear part that the network corrects, which names columns by `inputs`; None for none.
            standardise: whether targets are standardised while fitting; those of a bounded output are mapped from its
                range to [0, 1] instead.
            dtype: precision of the arithmetic; float64 serves tests.
            device: "cpu" or "cuda". Rows are scaled, shuffled and dropped on the processor in any case, so that all
                devices learn from the same batches.
        """
        self.network, self.optimiser = network, optimiser
        self.batch_size, self.epochs, self.seed = batch_size, epochs, seed
        self.inputs, self.base, self.standardise, self.dtype = inputs, base, standardise, dtype
        self.device = torch.device(device)
        self._codec = _CodecDropout(inputs, dtype) if inputs is not None and inputs.codec_dropout else None

    def fit(
        self,
        members: Sequence[Member],
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        codec: NDArray[np.float64] | None = None,
        on_epoch: OnEpoch | None = None,
        on_members: OnMembers | None = None,
    ) -> list[Fitted]:
        """Fit every member.

        Args:
            members: which rows each takes.
            X: features [n, columns], finite, unscaled.
            y: targets [n].
            codec: further input columns [n, width] that are not scaled, or None.
            on_epoch: called after each epoch.
            on_members: called after each epoch but the last; an exception ends the fit.

        Returns:
            One result per member, in the order given.

        Raises:
            InputError: a member has no rows, or a column values that its transform is not defined for.
            PyvmafError: a loss became NaN or infinite.
        """
        columns = X.shape[1] + (0 if codec is None else codec.shape[1]) + 2
        scratch = Scratch(len(members) * X.shape[0] * columns * torch.empty(0, dtype=self.dtype).element_size())
        # A copy of all its rows for each member, or one for all of them, from which every batch is scaled anew. That
        # one holds only values that the network computes with: it is read in random order.
        packed = _packed(scratch, X, codec, y) if scratch.large else None
        data = [
            _Data(
                m,
                X,
                codec,
                y,
                inputs=self.inputs,
                base=self.base,
                seed=self.seed,
                standardise=self.standardise,
                network=self.network,
                dtype=self.dtype,
                scratch=scratch,
                packed=packed,
            )
            for m in members
        ]
        initial = [self.network.initial(stream(self.seed, m.held_out, "initial")) for m in members]
        n_batches = np.array([-(-d.n // self.batch_size) for d in data])
        order = np.argsort(-n_batches, kind="stable")
        sorted_data = [data[i] for i in order]
        flat = torch.from_numpy(np.stack([initial[i] for i in order])).to(self.device, self.dtype).contiguous()
        place = np.argsort(order)
        losses = np.empty((self.epochs, len(members)))

        def members_after(epochs: int) -> list[Fitted]:
            results = []
            for i, (member, one) in enumerate(zip(members, data, strict=True)):
                parameters = self._unfold(flat[place[i]], one)
                results.append(
                    Fitted(member, one.prepare, one.base, one.target, parameters, losses[:epochs, place[i]].copy())
                )
            return results

        def after_epoch(done: int, epochs: int, loss: float) -> None:
            if on_epoch is not None:
                on_epoch(done, epochs, loss)
            if on_members is not None and done < epochs:
                on_members(done, lambda: members_after(done))

        with torch.inference_mode(), deterministic(self.device):
            self._loop(sorted_data, n_batches[order], flat, losses, after_epoch)
        return members_after(self.epochs)

    def _unfold(self, flat: torch.Tensor, one: _Data) -> NDArray[np.floating]:
        """Parameters that give the target's own unit: its scale goes into the last, linear layer.

        An input that was the same in every training row (the slot of an encoder that was not there, the preset of
        rows that name none) teaches nothing: its contribution through the first weights is added to the bias, and these
        weights become 0, so that another value of it does not meet their initial values. Where a row's inputs are
        normalised together it stays: it is part of what all rows are divided by.
        """
        flat = flat.cpu().clone()
        layers = self.network.layers(flat[None])
        if one.hides_crf:
            layers[0][0][:, -2] = 0
        if self.epochs and one.n > 1 and not self.network.normalised:
            inputs, constant = one.steady()
            first = layers[0][0]
            if self._codec is not None:
                self._codec.settle(first, inputs, constant)
            first[:, -1] += first[:, :-1][:, constant] @ inputs[constant]
            first[:, :-1][:, constant] = 0
        if self.network.bounds is None:
            layers[-1].mul_(one.target[1])
            layers[-1][:, :, -1].add_(one.target[0])
        return flat.numpy()

    def _loop(
        self,
        data: list[_Data],
        n_batches: NDArray[np.int64],
        flat: torch.Tensor,
        losses: NDArray[np.float64],
        on_epoch: OnEpoch,
    ) -> None:
        M, B, last = len(data), self.batch_size, int(n_batches[0])
        n_columns = self.network.sizes[0][0] + 2
        widths = self.network.dropped_widths
        gradient = torch.zeros_like(flat)
        adam = _Adam(self.optimiser, flat, gradient, self.epochs * last)
        kernels: dict[int, MlpKernel] = {}
        # The number of active members at each step of an epoch.
        active = [int(np.count_nonzero(n_batches > s)) for s in range(last)]
        per_step = (n_columns + sum(widths)) * M * B * flat.element_size()
        chunk = max(1, min(last, CHUNK_BYTES // per_step))
        filled = torch.empty((chunk, M, n_columns, B), dtype=self.dtype)
        drawn = [torch.zeros((chunk, M, w, B), dtype=self.dtype) for w in widths]
        weight = torch.empty((chunk, M, 1, B), dtype=self.dtype, device=self.device)
        weighed = -1
        loss_sums = torch.zeros((M, 1, 1), dtype=torch.float64, device=self.device)
        rows_of = [torch.tensor([min(B, max(0, d.n - s * B)) / (2.0 * d.n) for d in data]) for s in range(last)]
        shares = torch.stack(rows_of)[..., None, None].to(self.device, torch.float64)

        for epoch in range(self.epochs):
            loss_sums.zero_()
            for one, count in zip(data, n_batches, strict=True):
                one.shuffle(int(count) * B)
            for start in range(0, last, chunk):
                stop = min(start + chunk, last)
                self._fill(data, n_batches, start, stop, filled, drawn)
                batches, masks = filled.to(self.device), [mask.to(self.device) for mask in drawn]
                release()
                if weighed != start:
                    _weigh(data, start, B, weight)
                    weighed = start
                steps = np.minimum(np.arange(start, stop)[:, None], n_batches - 1) + epoch * n_batches + 1
                roots, sizes = adam.corrections(steps)
                for begin, end, k in _runs(active, start, stop):
                    kernel = kernels.get(k)
                    if kernel is None:
                        kernel = kernels[k] = MlpKernel(self.network, flat[:k], gradient[:k], B)
                    sums = loss_sums[:k]
                    here = slice(begin - start, end - start)
                    views = zip(
                        batches[here, :k, :-1].unbind(0),
                        batches[here, :k, -1:].unbind(0),
                        weight[here, :k].unbind(0),
                        zip(*(m[here, :k].unbind(0) for m in masks), strict=True) if masks else _nothing(),
                        roots[here, :k].unbind(0),
                        sizes[here, :k].unbind(0),
                        shares[begin:end, :k].unbind(0),
                        strict=False,
                    )
                    for x, y, w, drop, root, size, share in views:
                        kernel(x, y, w, drop)
                        sums.addcmul_(kernel.twice_loss, share)
                        adam.step(k, root, size)
            losses[epoch] = loss_sums.view(M).cpu().numpy()
            if not np.isfinite(losses[epoch]).all():
                bad = [str(d.member.held_out) for d, v in zip(data, losses[epoch], strict=True) if not np.isfinite(v)]
                raise PyvmafError(
                    f"the training loss is not finite after epoch {epoch + 1} (held out: {', '.join(bad)}): "
                    f"lower the learning rate, which is {self.optimiser.lr}"
                )
            on_epoch(epoch + 1, self.epochs, float(losses[epoch].mean()))

    def _fill(
        self,
        data: list[_Data],
        n_batches: NDArray[np.int64],
        start: int,
        stop: int,
        batches: torch.Tensor,
        masks: list[torch.Tensor],
    ) -> None:
        """Gather the rows of steps `start` to `stop`, and draw their dropout masks."""
        B = self.batch_size
        threshold = round(self.network.dropout * _DROPOUT_STEPS)
        scale = np.asarray(_DROPOUT_STEPS / (_DROPOUT_STEPS - threshold)).astype(batches.numpy().dtype)
        for m, (one, count) in enumerate(zip(data, n_batches, strict=True)):
            n = min(stop, int(count)) - start
            if n <= 0:
                continue
            batches[:n, m] = one.gather(start * B, (start + n) * B).view(n, B, -1).transpose(1, 2)
            if self._codec is not None:
                codec = batches[:n, m, -2 - self._codec.width : -2]
                self._codec.drop(one.codec_dropout, codec)
            for rng, mask in zip(one.dropout, masks, strict=True):
                drawn = rng.integers(0, _DROPOUT_STEPS, size=(n, *mask.shape[2:]), dtype=np.uint16)
                np.multiply(drawn >= threshold, scale, out=mask[:n, m].numpy())


def _moments(parts: Callable[[], Iterator[NDArray[np.float64]]], n: int) -> tuple[float, float]:
    """Mean and standard deviation (ddof 0) of n values that come in parts, twice."""
    mean = np.add.reduce([part.sum() for part in parts()]) / n
    return float(mean), float(np.sqrt(np.add.reduce([np.square(part - mean).sum() for part in parts()]) / n))


def _packed(
    scratch: Scratch, X: NDArray[np.float64], codec: NDArray[np.float64] | None, y: NDArray[np.float64]
) -> NDArray[np.float32]:
    """float32 [n, features + codec columns + 1]: everything of a row side by side, the target last."""
    width = X.shape[1] + (0 if codec is None else codec.shape[1])
    found = scratch.array((y.size, width + 1), np.float32)
    for part in chunks(y.size):
        found[part, : X.shape[1]], found[part, -1] = X[part], y[part]
        if codec is not None:
            found[part, X.shape[1] : -1] = codec[part]
    return found


def _weigh(data: list[_Data], start: int, batch_size: int, weight: torch.Tensor) -> None:
    """Set the weight of each row of a batch, 2 / (true rows of the batch), for the steps from `start` on."""
    weight.fill_(2.0 / batch_size)
    for m, one in enumerate(data):
        whole, rest = divmod(one.n, batch_size)
        step = whole - start
        if rest and 0 <= step < weight.shape[0]:
            weight[step, m, 0, :rest] = 2.0 / rest
            weight[step, m, 0, rest:] = 0.0


def _nothing() -> Iterator[tuple[()]]:
    while True:
        yield ()


def _runs(active: list[int], start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Stretches of steps with the same number of active members, as (first, end, members)."""
    begin = start
    for s in range(start + 1, stop + 1):
        if s == stop or active[s] != active[begin]:
            yield begin, s, active[begin]
            begin = s
