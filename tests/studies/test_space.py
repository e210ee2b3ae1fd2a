"""What ``--param`` accepts, what becomes of it, and what is refused before anything runs."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.errors import InputError
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.studies.space import check_space, coerce, parse_parameter, parse_space, with_values

BASE: dict[str, Any] = {
    "name": "small",
    "description": "A model",
    "inputs": {"features": "canonical6"},
    "network": {"hidden": [16, 8]},
    "epochs": 4,
}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("3.0", 3.0),
        ("1e-3", 0.001),
        ("true", True),
        ("False", False),
        ("null", None),
        ("relu", "relu"),
        ("v1", "v1"),
        ("[]", []),
        ("[16,8]", [16, 8]),
        ("[adm2, motion2]", ["adm2", "motion2"]),
        ("[[1,2],3]", [[1, 2], 3]),
    ],
)
def test_words_become_int_float_bool_or_text_in_that_order(word: str, value: Any) -> None:
    found = coerce(word)
    assert found == value
    assert type(found) is type(value)


def test_a_choice_of_lists_is_split_outside_of_brackets() -> None:
    found = parse_parameter("network.hidden=choice:[16,8],[32],[]")
    assert found.choices == ("[16,8]", "[32]", "[]")
    assert found.ends == [[16, 8], [32], []]


@given(low=st.floats(1e-6, 1e3), factor=st.floats(1, 1e3), log=st.booleans(), seed=st.integers(0, 1000))
def test_a_range_is_drawn_from_inside(low: float, factor: float, log: bool, seed: int) -> None:
    parameter = parse_parameter(f"optimiser.lr=float:{low!r}:{low * factor!r}{':log' * log}")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    value = parameter.suggest(study.ask())
    assert low <= value <= low * factor
    assert parameter.log == log


def test_an_int_range_gives_whole_numbers() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    parameter = parse_parameter("batch_size=int:16:18")
    drawn = {parameter.suggest(study.ask()) for _ in range(40)}
    assert drawn == {16, 17, 18}
    assert all(type(v) is int for v in drawn)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("optimiser.lr", "is not NAME=SPEC"),
        ("optimiser.lr=", "is not NAME=SPEC"),
        ("optimiser.lr=float:1", "not one of float:LO:HI"),
        ("optimiser.lr=float:1:2:linear", "not one of float:LO:HI"),
        ("optimiser.lr=float:a:b", "are not two float values"),
        ("optimiser.lr=float:2:1", "go upwards, not from 2.0 to 1.0"),
        ("optimiser.lr=float:0:1:log", "must begin above 0, not at 0.0"),
        ("optimiser.lr=float:nan:1", "must be finite"),
        ("epochs=int:1.5:3", "are not two int values"),
        ("epochs=int:1:3:log", "not one of float:LO:HI"),
        ("epochs=grid:1:3", "not one of float:LO:HI"),
        ("network.activation=choice:relu,relu", "empty or listed twice"),
        ("network.activation=choice:relu,", "empty or listed twice"),
        ("network.hidden=choice:[16,8", "unbalanced brackets"),
        ("seeds=choice:1,2", "cannot be searched"),
        ("split.by=choice:source,group", "cannot be searched"),
        ("target.column=choice:vmaf,psnr_y", "cannot be searched"),
        ("networks.hidden=choice:1,2", "cannot be searched"),
    ],
)
def test_what_is_no_parameter_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_parameter(text)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ([], "there are no parameters"),
        (["epochs=int:1:2", "epochs=int:1:3"], "both set the same key"),
        (["network.hidden=choice:[8],[4]", "network.hidden.0=int:4:8"], "both set the same key"),
    ],
)
def test_parameters_do_not_overwrite_each_other(texts: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_space(texts)


def test_values_go_where_their_path_says_and_nowhere_else() -> None:
    found = with_values(BASE, {"optimiser.lr": 0.5, "network.hidden.1": 3, "epochs": 9})
    spec = RegressorSpec.model_validate(found)
    assert (spec.optimiser.lr, spec.network.hidden, spec.epochs) == (0.5, (16, 3), 9)
    assert BASE["network"] == {"hidden": [16, 8]}
    assert "optimiser" not in BASE


@pytest.mark.parametrize("name", ["network.hidden.2", "network.hidden.first", "epochs.0"])
def test_a_path_that_leads_nowhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not a key of this spec"):
        with_values(BASE, {name: 1})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("optimiser.rate=float:0:1", "unknown key 'optimiser.rate'"),
        ("network.dropout=float:2:3", "network.dropout"),
        ("network.activation=choice:tanh,sigmoid", "network.activation"),
    ],
)
def test_a_search_that_no_spec_allows_is_refused_before_it_runs(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_space(BASE, parse_space([text]), "small.yaml")


def test_a_value_may_depend_on_another_parameter() -> None:
    check_space(BASE, parse_space(["network.dropout=float:0:3"]), "small.yaml")
