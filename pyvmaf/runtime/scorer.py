"""Scores of a graph that takes rows: one number per row, whatever other rows there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.graph import Graph, Tensor
from pyvmaf.runtime.session import Feeds, run_all, session, short, with_inner

MOST_ROWS = 1 << 15
"""Rows of one run. More are scored in parts, so that memory does not grow with the table."""


class RowScorer:
    """A session for a graph with inputs [rows, columns] and one output [rows], all float32.

    Before a session starts, and before every run with another number of rows, the extent of the run is established
    (`Graph.check_extent`).
    """

    def __init__(
        self,
        graph: Graph,
        columns: Mapping[str, int],
        output: str,
        described_by: str,
        threads: int,
        inner: Sequence[str] = (),
    ) -> None:
        """Check the graph and start the session.

        Args:
            graph: the graph.
            columns: number of columns by name of the input, as the sidecar states them.
            output: name of the output by the sidecar.
            described_by: the sidecar, for errors.
            threads: of the runtime.
            inner: tensors inside of the graph, float32 [rows] each, that are read as well.

        Raises:
            InputError: a run would take more than a model may, or its extent cannot be established.
            IntegrityError: the graph does not have these inputs and this output, or the runtime refuses it.
        """
        self._graph = graph
        self._columns = dict(columns)
        self._output = output
        self._checked: set[int] = set()
        _check_signature(graph, columns, output, described_by)
        self._check(1)
        self._most = self._rows_at_a_time()
        data = with_inner(allowlist.parse(graph.data, graph.where), inner, graph.where) if inner else graph.data
        self._session = session(data, threads, where=graph.where)

    def _rows_at_a_time(self) -> int:
        rows = MOST_ROWS
        while rows > 1:
            try:
                self._check(rows)
                break
            except InputError:
                rows //= 2
        return rows

    def _check(self, rows: int) -> None:
        if rows in self._checked:
            return
        outputs = self._graph.check_extent({name: (rows, n) for name, n in self._columns.items()})
        expected = Tensor(1, (rows,))
        if (given := outputs[self._output]) != expected:
            raise IntegrityError(
                f"{self._graph.where} answers {rows} rows with {_shown(given)}: a score is one float32 number per row, "
                "so that the output has one axis (squeeze it before the export)"
            )
        self._checked.add(rows)

    def scores(self, feeds: Feeds) -> list[NDArray[np.float64]]:
        """Score rows.

        Args:
            feeds: float32 [n, columns] by name of the input, n >= 1.

        Returns:
            float64 [n], finite: the scores, then each inner tensor.

        Raises:
            InputError: a run would take more than a model may.
            IntegrityError: the runtime fails, or a score of finite inputs is NaN or infinite.
        """
        n = len(next(iter(feeds.values())))
        if n <= self._most:
            return self._part(feeds, n)
        parts = [self._rows(feeds, slice(start, min(start + self._most, n))) for start in range(0, n, self._most)]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _rows(self, feeds: Feeds, rows: slice) -> list[NDArray[np.float64]]:
        return self._part({name: values[rows] for name, values in feeds.items()}, rows.stop - rows.start)

    def _part(self, part: Feeds, n: int) -> list[NDArray[np.float64]]:
        self._check(n)
        outputs = run_all(self._session, part, self._graph.where)
        for values in outputs:
            if values.shape != (n,):
                raise IntegrityError(f"{self._graph.where} answers {n} rows with shape {values.shape}")
        # A clip hides infinity, so that what it clipped is looked at, too.
        if not all(np.isfinite(values).all() for values in outputs):
            bad = np.flatnonzero(~np.isfinite(outputs).all(axis=0))
            row = {name: values[bad[0]].tolist() for name, values in part.items()}
            raise IntegrityError(
                f"{self._graph.where} answers {bad.size} of {n} rows with NaN or infinity, the first of them {row}: its "
                "weights are damaged, or these inputs are far outside of its training rows"
            )
        return outputs


def _shown(tensor: Tensor) -> str:
    from onnx import TensorProto

    return f"{TensorProto.DataType.Name(tensor.element)} {list(tensor.shape)}"


def _check_signature(graph: Graph, columns: Mapping[str, int], output: str, described_by: str) -> None:
    inputs = graph.inputs
    # The caller chooses an axis without a size; whether the graph can compute with it, its extent shows.
    actual = {
        name: f"{len(shape)} axes" if len(shape) != 2 else columns.get(name) if shape[1] is None else shape[1]
        for name, shape in inputs.items()
    }
    if actual != dict(columns):
        raise IntegrityError(f"{graph.where} takes {_words(actual)}, but {described_by} describes {_words(columns)}")
    fixed = [shape[0] for shape in inputs.values() if shape[0] is not None]
    if fixed:
        raise IntegrityError(
            f"{graph.where} takes {fixed[0]} rows at a time and no other number: export it with a dynamic batch axis"
        )
    if graph.outputs != (output,):
        raise IntegrityError(
            f"{graph.where} has the outputs {short(', '.join(graph.outputs))}, but {described_by} names one, {output}"
        )


def _words(columns: Mapping[str, int | str | None]) -> str:
    sizes = {short(name): f"{n} columns" if isinstance(n, int) else n or "any columns" for name, n in columns.items()}
    return ", ".join(f"{name} ({size})" for name, size in sizes.items()) or "no input"
