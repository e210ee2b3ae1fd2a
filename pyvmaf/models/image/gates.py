"""The gates of models of pictures."""

from __future__ import annotations

from pyvmaf.models.gates.constant import Constant
from pyvmaf.models.gates.gain import Gain
from pyvmaf.models.gates.gate import Gate
from pyvmaf.models.gates.pooled import Pooled
from pyvmaf.models.gates.within import Within

GATES: tuple[Gate, ...] = (Pooled(), Within(), Constant(), Gain())
