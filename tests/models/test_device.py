"""Training on a CUDA device, as far as it shows without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pyvmaf.errors import UnavailableError
from pyvmaf.models.device import check_device, deterministic
from pyvmaf.models.regressor.kernels import MlpKernel
from pyvmaf.models.regressor.networks import Mlp
from pyvmaf.models.regressor.spec import load_regressor
from pyvmaf.models.regressor.trainer import Member, StackedTrainer, _Adam
from pyvmaf.models.spec import Optimiser

SPEC = Path(__file__).parents[2] / "config" / "models"


def network(**options: Any) -> Mlp:
    return Mlp(((6, 8), (8, 8), (8, 1)), "gelu", 0.25, **options)


@pytest.mark.parametrize("options", [{}, {"epsilon": 1e-5}, {"bounds": (0.0, 100.0)}])
def test_a_step_computes_where_its_parameters_are(options: dict[str, Any]) -> None:
    # Tensors without values, of a device that need not be there: an operation on tensors of two devices is an error.
    net = network(**options)
    with FakeTensorMode(), torch.inference_mode():
        flat = torch.zeros((3, net.n_parameters), device="cuda")
        gradient = torch.zeros_like(flat)
        kernel, adam = MlpKernel(net, flat, gradient, 16), _Adam(Optimiser(weight_decay=0.1), flat, gradient, 4)
        roots, sizes = adam.corrections(np.ones((1, 3), np.int64))
        x, y, weight = (torch.ones((3, rows, 16), device="cuda") for rows in (7, 1, 1))
        masks = [torch.ones((3, 8, 16), device="cuda") for _ in range(2)]
        kernel(x, y, weight, masks)
        adam.step(3, roots[0], sizes[0])
        assert {t.device.type for t in (gradient, kernel.twice_loss, roots, sizes)} == {"cuda"}
        with pytest.raises(RuntimeError, match="device"):
            kernel(x.cpu(), y, weight, masks)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_refused() -> None:
    check_device("mine", "cpu")
    with pytest.raises(
        UnavailableError, match=r"^mine is trained with device: cuda, which this machine .*set device: cpu"
    ):
        check_device("mine", "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_a_device_gives_the_processors_weights_within_rounding_and_the_same_bits_twice() -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(50, 5, size=(300, 6))
    y = X[:, 0] + rng.normal(size=300)

    def trained(device: str) -> np.ndarray[Any, Any]:
        trainer = StackedTrainer(network(), Optimiser(), batch_size=32, epochs=3, seed=0, device=device)
        return trainer.fit([Member("a", np.arange(200)), Member(None, np.arange(300))], X, y)[1].parameters

    on_device = trained("cuda")
    np.testing.assert_array_equal(trained("cuda"), on_device)
    np.testing.assert_allclose(on_device, trained("cpu"), atol=2e-3)


def test_determinism_is_asked_for_on_a_device_only() -> None:
    with deterministic(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(torch.device("cuda")):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_processor_needs_no_word_in_a_spec() -> None:
    spec = load_regressor(SPEC / "vmaf_tiny_v2.yaml")
    assert spec.device == "cpu"
    assert "device" not in spec.model_dump()
    assert "device" not in spec.training()
    on_device = spec.model_copy(update={"device": "cuda"})
    assert on_device.training()["device"] == "cuda"
