"""Hostile and harmless variants of libvmaf's models in JSON, and a check of what becomes of each.

``python -m tests.fuzz.models_json --seed 1 --count 500`` prints the findings, with the seed that makes them again.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pyvmaf.engines.libvmaf.models import Model

Document = dict[str, Any]
Change = Callable[[random.Random, Document], bytes | None]

FEATURES = (
    "VMAF_integer_feature_adm2_score",
    "VMAF_integer_feature_vif_scale0_score",
    "VMAF_integer_feature_motion2_score",
)
# Values that a key or a number of such a file may be replaced by.
VALUES: tuple[Any, ...] = (
    None,
    True,
    "",
    "x",
    "x" * 5000,
    "true",
    0,
    -1,
    1,
    2,
    65,
    65536,
    2**31,
    10**400,
    1e-320,
    1e308,
    -1e308,
    [],
    {},
    [1],
    [[0, 0]],
    {"a": 1},
)
WORDS = (
    "",
    "-1",
    "0",
    "1",
    "2",
    "3",
    "65536",
    "2147483647",
    "2147483648",
    "1e999",
    "nan",
    "-inf",
    "0x10",
    "1,5",
    "2 3",
    "abc",
    "1e-320",
    "c_svc",
    "precomputed",
)


class Mutant(NamedTuple):
    """A variant of a model.

    Attributes:
        name: name of its file. If it starts with "same", the variant has the scores of the model that it was made from.
        data: its bytes.
        scores: those scores; None if the variant may be refused.
    """

    name: str
    data: bytes
    scores: list[float] | None


def svm_text(rng: random.Random, kernel: str = "rbf", vectors: int = 5) -> str:
    """Make a support vector machine over `FEATURES`."""
    header = ["svm_type nu_svr", f"kernel_type {kernel}"]
    header += {"linear": [], "rbf": ["gamma 0.5"], "sigmoid": ["gamma 0.5", "coef0 0.1"]}.get(
        kernel, ["degree 3", "gamma 0.5", "coef0 0.1"]
    )
    header += ["nr_class 2", f"total_sv {vectors}", f"rho {rng.uniform(-2, 0):.5f}", "SV"]
    lines = [
        f"{rng.uniform(-1, 1):.6g} " + "".join(f"{i}:{rng.uniform(0, 1):.5f} " for i in range(1, len(FEATURES) + 1))
        for _ in range(vectors)
    ]
    return "\n".join([*header, *lines]) + "\n"


def single(rng: random.Random) -> Document:
    """Make a model with all that a file can have."""
    return {
        "param_dict": {"C": 4.0},
        "model_dict": {
            "model_type": "LIBSVMNUSVR",
            "norm_type": "linear_rescale",
            "feature_names": list(FEATURES),
            "feature_opts_dicts": [{}, {"vif_enhn_gain_limit": 1.0}, {"motion_force_zero": True}],
            "slopes": [0.01, 1.5, 1.25, 0.04],
            "intercepts": [-0.3, -0.5, 0.0, 0.125],
            "score_clip": [0.0, 100.0],
            "score_transform": {
                "enabled": rng.random() < 0.5, "p0": 1.5, "p1": 1.25, "p2": -0.005, "out_gte_in": "true",
                "knots": [[0.0, 1.0], [50.0, 60.0], [100.0, 110.0]],
            },
            "feature_dict": {"VMAF_feature": "all"},
            "model": svm_text(rng, rng.choice(["rbf", "rbf", "linear", "polynomial", "sigmoid"])),
        },
    }  # fmt: skip


def collection(rng: random.Random) -> Document:
    """Make a bootstrap collection of four models."""
    members: Document = {}
    for number in range(4):
        block = single(rng)["model_dict"]
        block["model_type"] = "BOOTSTRAP_LIBSVMNUSVR"
        block["score_transform"]["enabled"] = True
        members[str(number)] = {"param_dict": {}, "model_dict": block}
    return members


def _block(rng: random.Random, document: Document) -> Document:
    """Return the block of the model, or of a member."""
    member = document if "model_dict" in document else document[rng.choice(list(document))]
    return dict_at(member, "model_dict")


def dict_at(document: Document, key: str) -> Document:
    value = document[key]
    assert isinstance(value, dict)
    return value


def _one_of(rng: random.Random, changes: Sequence[Callable[[], object]]) -> None:
    rng.choice(changes)()


def _value_of_key(rng: random.Random, document: Document) -> None:
    block = _block(rng, document)
    block[rng.choice(list(block))] = rng.choice(VALUES)


def _missing_key(rng: random.Random, document: Document) -> None:
    block = _block(rng, document)
    del block[rng.choice(list(block))]


def _misspelt_key(rng: random.Random, document: Document) -> None:
    block = _block(rng, document)
    key = rng.choice(list(block))
    block[key[:-1] + rng.choice("aes")] = block.pop(key)


def _item_of_list(rng: random.Random, document: Document) -> None:
    block = _block(rng, document)
    values = block[rng.choice(["feature_names", "feature_opts_dicts", "slopes", "intercepts", "score_clip"])]
    position = rng.randrange(len(values))
    _one_of(rng, [
        lambda: values.__setitem__(position, rng.choice(VALUES)),
        lambda: values.pop(position),
        lambda: values.insert(position, values[position]),
        lambda: values.extend(values * 30),
    ])  # fmt: skip


def _option(rng: random.Random, document: Document) -> None:
    options = rng.choice(_block(rng, document)["feature_opts_dicts"])
    options[rng.choice(["vif_enhn_gain_limit", "debug", "heatmaps_path", "a\nb", "x" * 5000, "motion_max_val"])] = (
        rng.choice(VALUES)
    )


def _name_of_feature(rng: random.Random, document: Document) -> None:
    names = _block(rng, document)["feature_names"]
    names[rng.randrange(len(names))] = rng.choice(
        [
            "VMAF_feature_adm2_score",
            "integer_adm_num",
            "Cambi_feature_cambi_score",
            "a\nb",
            "\0",
            FEATURES[0],
            "x" * 5000,
        ]
    )


def _transform(rng: random.Random, document: Document) -> None:
    transform = dict_at(_block(rng, document), "score_transform")
    key = rng.choice([*transform, "p3", "out_lte_in"])
    knots: tuple[Any, ...] = ([[0, 0]], [[0, 0]] * 3, [[i, i] for i in range(11)], [[0, 0], [1]], [[0, 5], [1, 0]])
    transform[key] = rng.choice(knots if key == "knots" else VALUES)


def _chroma(rng: random.Random, document: Document) -> None:
    _block(rng, document)["chroma_correction_parameter"] = rng.choice([0, 120.0, "x", None])


def _svm_header(rng: random.Random, document: Document) -> None:
    block = _block(rng, document)
    header, *vectors = block["model"].split("SV\n")
    lines = header.splitlines()
    position = rng.randrange(len(lines))
    key = lines[position].split()[0]
    _one_of(rng, [
        lambda: lines.pop(position),
        lambda: lines.insert(position, lines[position]),
        lambda: lines.__setitem__(position, f"{key} {rng.choice(WORDS)}"),
        lambda: lines.__setitem__(position, f"{key}x 1"),
        lambda: lines.insert(position, f"{rng.choice(['label', 'probA', 'probB', 'nr_sv', 'foo'])} 1 2"),
        lambda: lines.insert(position, ""),
    ])  # fmt: skip
    block["model"] = "\n".join(lines) + "\nSV\n" + "SV\n".join(vectors)


def _svm_vector(rng: random.Random, document: Document) -> None:
    block = _block(rng, document)
    head, tail = block["model"].split("SV\n")
    lines = tail.splitlines()
    position = rng.randrange(len(lines))
    words = lines[position].split()
    place = rng.randrange(len(words))
    _one_of(rng, [
        lambda: lines.pop(position),
        lambda: lines.insert(position, lines[position]),
        lambda: words.__setitem__(place, rng.choice(WORDS)),
        lambda: words.__setitem__(place, f"{rng.choice(WORDS)}:{rng.choice(WORDS)}"),
        lambda: words.reverse(),
        lambda: words.pop(place),
        lambda: words.extend(f"{i}:0.5" for i in range(4, rng.choice([5, 70, 3000]))),
    ])  # fmt: skip
    if position < len(lines) and len(lines) == len(tail.splitlines()):
        lines[position] = " ".join(words)
    block["model"] = head + "SV\n" + "\n".join(lines) + "\n"


def _svm_cut(rng: random.Random, document: Document) -> None:
    block = _block(rng, document)
    text = block["model"]
    block["model"] = rng.choice(
        ["", "\n", "SV\n", text[: rng.randrange(len(text))], text.replace("SV\n", ""), text + "\0"]
    )


def _svm_letters(rng: random.Random, document: Document) -> None:
    block = _block(rng, document)
    letters = list(block["model"])
    for _ in range(rng.randrange(1, 4)):
        letters[rng.randrange(len(letters))] = rng.choice("0123456789.:-+e \nSVx\x00\u0660")
    block["model"] = "".join(letters)


def _members(rng: random.Random, document: Document) -> None:
    if "model_dict" in document:
        document["0"] = document.pop("model_dict")
        return
    _one_of(rng, [
        lambda: document.pop(rng.choice(list(document))),
        lambda: document.__setitem__("x", 1),
        lambda: document.__setitem__("4", document["0"] | {"model_dict": 1}),
        lambda: document.update({str(i): document["0"] for i in range(rng.choice([100, 118, 119, 130, 300]))}),
        lambda: document["2"]["model_dict"].__setitem__("model_type", "LIBSVMNUSVR"),
        lambda: [document.pop(key) for key in ("1", "2", "3")],
        lambda: document["1"]["model_dict"]["feature_names"].reverse(),
        lambda: document.__setitem__("0", document.pop("0")),
    ])  # fmt: skip


def _bytes_of(rng: random.Random, document: Document) -> bytes:
    data = bytearray(json.dumps(document).encode())
    for _ in range(rng.randrange(1, 5)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _cut(rng: random.Random, document: Document) -> bytes:
    data = json.dumps(document).encode()
    return data[: rng.randrange(len(data))]


def _nested(rng: random.Random, document: Document) -> bytes:
    depth = rng.choice([1_000, 100_000])
    deep = ("[" * depth + "]" * depth) if rng.random() < 0.5 else ('{"a":' * depth + "1" + "}" * depth)
    text = json.dumps(document)
    return rng.choice([deep, text[:-1] + f', "deep": {deep}}}', text.replace("[0.01,", f"[{deep},", 1)]).encode()


def _literal(rng: random.Random, document: Document) -> bytes:
    literal = rng.choice(["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "-" + "9" * 400, "1E+2", "0.010", "01"])
    return json.dumps(document).replace("[0.01,", f"[{literal},", 1).encode()


def _repeated_key(rng: random.Random, document: Document) -> bytes:
    key = rng.choice(["feature_names", "slopes", "model", "norm_type"])
    block = _block(rng, document)
    return json.dumps(document).replace(f'"{key}"', f'"{key}": {json.dumps(block[key])}, "{key}"', 1).encode()


def _other(rng: random.Random, document: Document) -> bytes:
    return rng.choice(
        [b"", b"null", b"[]", b"{}", b'"x"', b"3", b'{"model_dict": {}}', b"\xff\xfe", b"{" * 10, b" " * 1000]
    )


HOSTILE: tuple[Change | Callable[[random.Random, Document], None], ...] = (
    _value_of_key, _missing_key, _misspelt_key, _item_of_list, _option, _name_of_feature, _transform, _chroma,
    *(_svm_header,) * 4, *(_svm_vector,) * 4, _svm_cut, *(_svm_letters,) * 2, _members, _bytes_of, _cut, _nested, _literal,
    _repeated_key, _other,
)  # fmt: skip
"""Changes after which a file is refused, or has the scores that its values stand for."""


def _reordered(value: Any) -> Any:
    if isinstance(value, dict) and "0" not in value:
        return {key: _reordered(value[key]) for key in reversed(value)}
    return {key: _reordered(item) for key, item in value.items()} if isinstance(value, dict) else value


def _respelled(document: Document) -> Document:
    text = json.dumps(document).replace("gamma 0.5", "gamma 5e-1").replace(" \\n", "\\n").replace("1:", " 1:")
    return dict(json.loads(text))


HARMLESS: tuple[Callable[[Document], bytes], ...] = (
    lambda document: json.dumps(document, indent=3).encode(),
    lambda document: json.dumps(_reordered(document)).encode(),
    lambda document: json.dumps(document).replace("100.0", "100").replace("0.0,", "0,").encode(),
    lambda document: json.dumps(_respelled(document)).encode(),
    lambda document: json.dumps(document).replace("\\n", "\\r\\n").encode(),
)
"""Changes that leave the scores as they are."""


def mutants(seed: int, count: int) -> Iterator[Mutant]:
    """Make variants of models; the same ones for the same seed."""
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        document = collection(rng) if rng.random() < 0.25 else single(rng)
        if rng.random() < 0.15:
            scores = evaluate(document).tolist()
            yield Mutant(f"same-{seed}-{number}.json", rng.choice(HARMLESS)(document), scores)
            continue
        change = rng.choice(HOSTILE)
        data = change(rng, document)
        name = f"{change.__name__.strip('_')}-{seed}-{number}.json"
        yield Mutant(name, json.dumps(document).encode() if data is None else data, None)


def values_of(names: Sequence[str]) -> NDArray[np.float64]:
    """Return values of features, float64 of shape (rows, features); the same ones for the same name."""
    columns = [np.random.default_rng(zlib.crc32(name.encode())).uniform(0, 1, 7) for name in names]
    return np.stack(columns, axis=1)


def _raw(block: Document) -> NDArray[np.float64]:
    """Predict without transform and clip."""
    head, tail = block["model"].split("SV", 1)
    header = dict(line.split(None, 1) for line in head.splitlines() if line.strip())
    lines = [line.split() for line in tail.splitlines() if line.strip()]
    assert int(header["total_sv"]) == len(lines)
    assert header["svm_type"].strip() in ("nu_svr", "epsilon_svr")
    vectors = np.zeros((len(lines), len(block["feature_names"])))
    for row, (_, *words) in enumerate(lines):
        for word in words:
            index, value = word.split(":")
            vectors[row, int(index) - 1] = float(value)
    linear = block["norm_type"] == "linear_rescale"
    slopes = np.array(block["slopes"] if linear else [1] * (vectors.shape[1] + 1), np.float64)
    intercepts = np.array(block["intercepts"] if linear else [0] * (vectors.shape[1] + 1), np.float64)
    points = values_of(block["feature_names"]) * slopes[1:] + intercepts[1:]
    kernel = header["kernel_type"].strip()
    gamma, offset = float(header.get("gamma", 0)), float(header.get("coef0", 0))
    if kernel == "rbf":
        products = np.exp(-gamma * ((points[:, None] - vectors) ** 2).sum(axis=2))
    else:
        products = points @ vectors.T
        if kernel != "linear":
            products = gamma * products + offset
            products = np.tanh(products) if kernel == "sigmoid" else products ** int(header["degree"])
    sums = products @ np.array([float(line[0]) for line in lines]) - float(header["rho"])
    return np.asarray((sums - intercepts[0]) / slopes[0])


def _finished(block: Document, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply transform and clip."""
    transform = block.get("score_transform") or {}
    scores = raw
    if transform.get("enabled"):
        if any(transform.get(key) is not None for key in ("p0", "p1", "p2")):
            p0, p1, p2 = (transform.get(key) or 0 for key in ("p0", "p1", "p2"))
            scores = p0 + p1 * scores + p2 * scores**2
        if transform.get("knots"):
            knots = np.array(transform["knots"], np.float64)
            segment = np.clip(np.searchsorted(knots[:, 0], scores) - 1, 0, len(knots) - 2)
            (x0, y0), (x1, y1) = knots[segment].T, knots[segment + 1].T
            scores = y0 + (scores - x0) * (y1 - y0) / (x1 - x0)
        scores = np.minimum(scores, raw) if transform.get("out_lte_in") == "true" else scores
        scores = np.maximum(scores, raw) if transform.get("out_gte_in") == "true" else scores
    return np.clip(scores, *block["score_clip"]) if block.get("score_clip") else scores


def evaluate(document: Document) -> NDArray[np.float64]:
    """Score `values_of` its features with a model, without libvmaf; of a collection the bagged score."""
    if "model_dict" in document:
        block = document["model_dict"]
        return _finished(block, _raw(block))
    blocks = [document[str(number)]["model_dict"] for number in range(len(document))]
    return _finished(blocks[1], np.mean([_raw(block) for block in blocks[1:]], axis=0))


def check(path: Path, scores: Sequence[float] | None = None) -> None:
    """Raise AssertionError unless a model file is refused for a stated reason, or has the scores that its values mean.

    Args:
        path: the file.
        scores: the scores that it must have; None if it may be refused.
    """
    from pyvmaf.engines.libvmaf.models import Model
    from pyvmaf.errors import PyvmafError

    try:
        model = Model(path)
        names = [feature.key for feature in model.info.features]
    except PyvmafError as error:
        message = str(error)
    else:
        _check_scores(path, model, names, scores)
        return
    assert scores is None, f"refused, but nothing is wrong: {message}"
    assert path.name in message, f"the message does not name the file: {message}"
    assert "\n" not in message, f"the message has several lines: {message}"
    assert len(message) < 1000, f"the message has {len(message)} characters"


def _check_scores(path: Path, model: Model, names: Sequence[str], scores: Sequence[float] | None) -> None:
    from pyvmaf.engines.libvmaf.models import predict, predict_collection

    document = json.loads(path.read_bytes())
    block = document.get("model_dict") or document["0"]["model_dict"]
    features = dict(zip(names, values_of(block["feature_names"]).T, strict=True))
    found = predict_collection(model, features)["bagging"] if model.info.collection else predict(model, features)
    assert np.isfinite(found).all(), f"scores {found}"
    for expected in (evaluate(document), *([] if scores is None else [np.array(scores)])):
        assert np.allclose(found, expected, rtol=1e-9, atol=1e-9), f"scores {found}, the file means {expected}"


def findings(seed: int, count: int) -> list[str]:
    """Check variants, in processes of their own, and return one line for each that is a finding."""
    with tempfile.TemporaryDirectory() as folder:
        waiting = []
        for mutant in mutants(seed, count):
            path = Path(folder, mutant.name)
            path.write_bytes(mutant.data)
            waiting.append(json.dumps([str(path), mutant.scores]))
        lines = []
        while waiting:
            command = [sys.executable, "-m", "tests.fuzz.models_json", "--files"]
            process = subprocess.run(command, input="\n".join(waiting), capture_output=True, text=True, timeout=600)
            answers = process.stdout.splitlines()
            lines += [answer for answer in answers if answer != "right"]
            if process.stderr or process.returncode:
                culprit = waiting[min(len(answers), len(waiting) - 1)]
                lines.append(f"{culprit[:100]}: status {process.returncode}, {process.stderr[-2000:]!r}")
                answers.append("")
            waiting = waiting[len(answers) :]
    return lines


def _answer() -> None:
    for line in sys.stdin:
        name, scores = json.loads(line)
        path = Path(name)
        try:
            check(path, scores)
        except Exception as error:
            print(f"{path.name}: {type(error).__name__}: {' '.join(str(error).split())[:500]}", flush=True)
        else:
            print("right", flush=True)


def main() -> int:
    """Print the findings of a seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--files", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.files:
        _answer()
        return 0
    lines = findings(arguments.seed, arguments.count)
    print(f"models_json: seed {arguments.seed}, {arguments.count} variants, {len(lines)} findings", *lines, sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
