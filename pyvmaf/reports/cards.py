"""Model cards: one page per model that says what it was made of, what it reached, and where not to use it.

Every sentence is generated from the files of the run: reports, verdict, sidecar, predictions, int8 reports, registry,
table, and the manifests beside them. Latencies are measurements of one machine, so a card's bytes differ from run to
run; everything else on it does not.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base import layout
from pyvmaf.base.files import sha256_file, write_text
from pyvmaf.base.manifest import engine_block, read_manifest, write_manifest
from pyvmaf.errors import IntegrityError, MissingFileError, unknown_name
from pyvmaf.metrics import FIGURES
from pyvmaf.reports import charts, measures
from pyvmaf.reports.elements import NONE, Cell, Page, badge, digest, number, render, spread, table, text
from pyvmaf.reports.read import Model, Run, Seed, read_run
from pyvmaf.reports.summary import summarise

if TYPE_CHECKING:
    import pandas as pd

_MOST_PANELS = 12
_TABLE_COLUMNS = ("corpus", "group", "source", "clip", "codec", "rung")
_TEACHER = "vmaf"

_WHAT = {
    "fr": "full-reference: it compares an encode with its source",
    "nr": "no-reference: it sees the encode alone",
    "mos": "opinion scores: it predicts what people say",
    "filter": "a filter of pictures",
    "saliency": "a map of where people look",
}


@dataclass
class _Card:
    """Everything about one model.

    Attributes:
        run: a run of this model alone, for the measures that take one.
        model, seed: the model, and the seed that ships or would.
        entry, held: what the registry says, one or neither of them.
        rows: of the training table, None where it was not at hand.
        manifests: of its artefacts, by file name as a command would write it.
        points: most points per fold in the scatter plot.
    """

    run: Run
    model: Model
    seed: Seed
    entry: dict[str, Any] | None
    held: dict[str, Any] | None
    rows: pd.DataFrame | None
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    points: int = 400

    @property
    def sidecar(self) -> dict[str, Any]:
        return self.seed.sidecar or {}

    @property
    def loso(self) -> dict[str, Any]:
        return self.seed.loso or {}

    @property
    def by(self) -> str:
        """What is held out together."""
        return str(self.loso["split"]["by"])

    @property
    def ships(self) -> bool:
        return self.entry is not None


def _facts(caption: str, facts: Iterable[tuple[str, Cell]]) -> str:
    return table(caption, ("what", "value"), [[text(name), value] for name, value in facts])


def _notes(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<ul class="notes">{items}</ul>' if items else ""


def _code(lines: Iterable[str]) -> str:
    return f'<pre tabindex="0"><code>{escape(chr(10).join(lines))}</code></pre>'


def _count(value: int | None) -> Cell:
    """A number among facts, where words stand above and below it."""
    return text(NONE if value is None else f"{value:,}")


def _several(n: int, one: str, more: str) -> str:
    return f"{n} {one if n == 1 else more}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %" if value >= 0.0005 or value == 0 else "less than 0.1 %"


# ---------------------------------------------------------------------------------------------------------
# Sections


def _glance(page: Page, card: _Card) -> None:
    sidecar, loso = card.sidecar, card.loso
    low, high = sidecar.get("expected_output_range", (None, None))
    verdict = card.model.verdict
    word = "not judged" if verdict is None else str(verdict["verdict"])
    facts: list[tuple[str, Cell]] = [
        ("verdict", text(word) if verdict is None else badge(word == "PROMOTE", word)),
        ("registry", text("ships" if card.ships else "held: not for use" if card.held else "not registered")),
    ]
    if card.entry is not None and "selection" in card.entry:
        chosen = card.entry["selection"]
        facts.append(("seed that ships", text(f"{chosen['seed']}, chosen as {chosen['rule']}")))
    else:
        facts.append(("seed shown", text(card.seed.number)))
    if sidecar:
        codec = sidecar["codec"]
        facts += [
            ("kind", text(f"{sidecar['kind']}, {_WHAT.get(sidecar['kind'], sidecar['kind'])}")),
            ("predicts", text(f"{sidecar.get('target', _TEACHER)}, from {low:g} to {high:g}")),
            ("takes", text(", ".join(sidecar["features"]))),
        ]
        if codec is not None:
            facts.append(("codec block", text(f"vocabulary {codec['vocabulary']}: {', '.join(codec['slots'])}")))
        scaled = (
            "inside the graph" if sidecar["input_normalization"]["in_graph"] else "by the caller (load_model does it)"
        )
        facts += [
            ("inputs are scaled", text(scaled)),
            ("guard", text(_guard(sidecar))),
            ("file", text(f"{sidecar['onnx']}, {sidecar['bytes']:,} bytes, opset {sidecar['onnx_opset']}")),
            ("licence of the weights", text(sidecar["license"])),
        ]
    facts.append(("parameters", _count(loso.get("n_params"))))
    html = _facts("At a glance", facts)
    called = card.model.name if card.ships else str(card.seed.onnx or "model.onnx")
    html += "<h3>Use</h3>" + _code(
        [
            f"vmaf-train score ref.mkv dis.mkv --model {shlex.quote(called)}",
            "",
            "import pyvmaf",
            f"pyvmaf.load_model({called!r}).predict(rows).scores",
        ]
    )
    page.section("glance", "At a glance", html)


def _guard(sidecar: Mapping[str, Any]) -> str:
    if sidecar.get("input_guard", "none") == "clamp":
        margins = sidecar.get("input_guard_margin", {})
        named = ", ".join(f"{name} by {widths:g}" for name, widths in margins.items())
        beyond = f" (widened on either side, in its own widths: {named})" if margins else ""
        return f"each input is kept inside the range of the training rows{beyond}"
    return "none: inputs outside of the training range are passed on as they are"


def _data(page: Page, card: _Card) -> None:
    stated = card.loso["table"]
    facts = [
        ("table", text(stated["name"])),
        ("rows used", text(f"{stated['rows_used']:,} of {stated['rows']:,}")),
        ("SHA-256 of the table", digest(stated["sha256"])),
    ]
    for column, count in sorted(stated["dropped"]["by_column"].items()):
        facts.append((f"rows without {column}", _count(count)))
    html = _facts("What it was trained on and judged with", facts)
    if card.rows is None:
        html += "<p>The table itself was not at hand when this card was written.</p>"
    else:
        html += _sources(card, card.rows)
    page.section("trained-on", "Data", html)


def _sources(card: _Card, rows: pd.DataFrame) -> str:
    target = _target(card)
    keys = [name for name in ("corpus", "group", "source") if name in rows.columns]
    if not keys:
        return ""
    cells = []
    for key, part in rows.groupby(keys, sort=True, observed=True):
        values = part[target].dropna()
        told = [
            number(len(part)),
            number(float(values.min()) if len(values) else None, 1),
            number(float(values.median()) if len(values) else None, 1),
            number(float(values.max()) if len(values) else None, 1),
        ]
        counted = [number(int(part[name].nunique())) for name in ("clip", "codec", "rung") if name in rows.columns]
        named: Any = key
        cells.append([*(text(name) for name in reversed(named)), *counted, *told])
    words = {"clip": "clips", "codec": "codecs", "rung": "rungs"}
    head = (
        *reversed(keys),
        *(word for name, word in words.items() if name in rows.columns),
        *("rows", f"{target} min", "median", "max"),
    )
    sentence = _several(len(cells), "source", "sources")
    if "group" in rows.columns:
        sentence += f" of {_several(rows['group'].nunique(), 'group', 'groups')}"
    if "corpus" in rows.columns:
        sentence += f" in {_several(rows['corpus'].nunique(), 'corpus', 'corpora')}"
    return table(f"{sentence}: what stands in the table", head, cells)


def _target(card: _Card) -> str:
    return str(card.sidecar.get("target", _TEACHER))


def _protocol(page: Page, card: _Card) -> None:
    loso = card.loso
    protocol = str(loso["split"]["protocol"]).replace("_", " ")
    facts = [
        ("split", text(f"{protocol}, by {card.by}: rows of one {card.by} are never on both sides")),
        ("folds", _count(loso["n_folds"])),
        ("seeds", text(", ".join(map(str, card.model.seeds)))),
        ("epochs", _count(loso["epochs"])),
        ("batch size", _count(loso["batch_size"])),
        ("learning rate", text(f"{loso['lr']:g}")),
        ("weight decay", text(f"{loso['weight_decay']:g}")),
    ]
    facts += [
        (f"split: {key.replace('_', ' ')}", text(value))
        for key, value in sorted(loso["split"].items())
        if key not in ("by", "protocol")
    ]
    html = _facts("How it was trained and judged", facts)
    html += (
        "<p>A fold's weights, scaler and guard are fitted on the fold's own training rows. The file that ships was trained "
        "on all rows; the figures below are those of the folds, on rows that they did not see.</p>"
    )
    page.section("protocol", "Protocol", html)


def _figures(page: Page, card: _Card) -> None:
    frame = measures.loso_frame(card.run)
    page.columns("loso", frame)
    summary = summarise(card.run)["models"][0]["loso"]
    seeds = [number_ for number_, seed in card.model.seeds.items() if seed.loso]
    head = ("held out", "rows", *(f"PLCC, seed {n}" for n in seeds), "PLCC", "SROCC", "RMSE")
    cells = _fold_rows(card, "folds", seeds)
    cells.append(
        [
            text("mean over the folds"), Cell(NONE, number=True),
            *(number((card.model.seeds[n].loso or {})["mean_plcc"], 5) for n in seeds),
            spread(summary["plcc"], 5), spread(summary["srocc"], 5), spread(summary["rmse"], 3),
        ]
    )  # fmt: skip
    caption = f"Agreement with {_target(card)} per held-out {card.by}; the last columns are mean ± standard deviation over the seeds"
    figures = table(caption, head, cells)
    missing = [f"{r['fold']}, seed {r['seed']}" for r in measures.as_rows(frame[frame["plcc"].isna()])]
    html = page.figure(
        "loso-gap",
        charts.bars(
            "loso",
            "gap",
            "1 \N{MINUS SIGN} PLCC (shorter is better)",
            limit="allowed",
            tooltips=("plcc", "srocc", "rmse"),
        ),
        f"Distance from perfect correlation per held-out {card.by} and seed. The dashed line is what the gate allows for the "
        "mean." + (f" Without a bar, because the predictions are constant: {'; '.join(missing)}." if missing else ""),
    )
    html = figures + html
    beside = card.loso.get("beside")
    if beside:
        by = beside["by"]
        head = (f"{by} held out", "rows", *(f"PLCC, seed {n}" for n in seeds), "PLCC", "SROCC", "RMSE")
        html += f"<h3>A whole {escape(by)} held out</h3>" + table(
            f"Harder: all rows of one {by} were left out of training", head, _fold_rows(card, "beside", seeds)
        )
    elif card.loso.get("no_beside"):
        html += f"<p>Nothing coarser was held out beside: {escape(str(card.loso['no_beside']))}</p>"
    if card.seed.predictions is not None:
        html += _scatter(page, card)
    page.section("figures", "Figures", html)


def _folds_of(seed: Seed, key: str) -> dict[str, dict[str, Any]]:
    loso = seed.loso or {}
    listed = loso["folds"] if key == "folds" else (loso.get("beside") or {"folds": []})["folds"]
    return {str(fold["held_out"]): fold for fold in listed}


def _fold_rows(card: _Card, key: str, seeds: Sequence[int]) -> list[list[Cell]]:
    import numpy as np

    by_seed = {n: _folds_of(card.model.seeds[n], key) for n in seeds}
    cells = []
    for name, shown in _folds_of(card.seed, key).items():
        found = [by_seed[n].get(name) for n in seeds]

        def over(figure: str, found: Sequence[dict[str, Any] | None] = found) -> dict[str, float | None]:
            values = [None if fold is None else fold[figure] for fold in found]
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                return {"mean": None, "std": None}
            return {
                "mean": float(np.mean(known)),
                "std": float(np.std(known, ddof=1)) if len(known) > 1 else None,
            }

        cells.append(
            [
                text(name.partition(":")[2] or name), number(int(shown["n_val"])),
                *(number(None if fold is None else fold["plcc"], 5) for fold in found),
                spread(over("plcc"), 5), spread(over("srocc"), 5), spread(over("rmse"), 3),
            ]
        )  # fmt: skip
    return cells


def _scatter(page: Page, card: _Card) -> str:
    shown, folds = measures.held_out(card.seed, card.points, _MOST_PANELS)
    page.columns("fit", shown)
    low, high = card.sidecar.get("expected_output_range", (0.0, 100.0))
    low = min(low, float(shown["prediction"].min()), float(shown["target"].min()))
    high = max(high, float(shown["prediction"].max()), float(shown["target"].max()))
    codecs = measures.codec_order(card.run, None)
    total = sum(f["n_val"] for f in folds)
    panels = shown["panel"].nunique()
    which = (
        f"per held-out {card.by}" if panels == len(folds) else f"of the {panels} of {len(folds)} with the lowest PLCC"
    )
    drawn = f"all {total}" if len(shown) == total else f"{len(shown)} evenly taken of {total}"
    figures = table(
        "Computed again from the predictions",
        ("held out", "rows", *(name.upper() for name in FIGURES)),
        [[text(f["held_out"]), number(f["n_val"]), *(number(f[name]) for name in FIGURES)] for f in folds],
    )
    return "<h3>Prediction against target</h3>" + page.figure(
        "fit",
        charts.scatter("fit", codecs, (low, high)),
        f"Seed {card.seed.number}: prediction against target {which} ({drawn} rows), by the fold that had not seen them.",
        figures,
    )


def _gates(page: Page, card: _Card) -> None:
    verdict = card.model.verdict
    if verdict is None:
        page.section("gates", "Gates", "<p>The model was not judged.</p>")
        return
    gate = verdict["gate"]
    html = table(
        "Every gate with what was measured and what is asked for",
        ("gate", "measured", "limit", "result", "why"),
        _gate_rows(gate),
    )
    if card.held is not None:
        html += f"<p>Held: {escape(str(card.held['reason']))}.</p>"
    html += f"<p>Recommendation of the verdict: {escape(str(verdict['recommendation']))}.</p>"
    page.section("gates", "Gates", html)


def _result(passed: bool | None) -> Cell:
    return text("not judged") if passed is None else badge(passed, "pass" if passed else "fail")


def _gate_rows(gate: Mapping[str, Any]) -> Iterator[list[Cell]]:
    def row(name: str, measured: str, limit: str, passed: bool | None, why: object = None) -> list[Cell]:
        return [text(name), text(measured), text(limit), _result(passed), text(why or NONE)]

    def figure(value: float | None, digits: int = 5) -> str:
        return "not defined" if value is None else f"{value:.{digits}f}"

    yield row(
        "mean PLCC of the seeds",
        figure(gate["mean_plcc"]),
        f"at least {gate['mean_plcc_threshold']:g}",
        gate["mean_plcc_pass"],
    )
    yield row(
        "spread over the seeds",
        figure(gate["plcc_spread"]),
        f"at most {gate['plcc_spread_max']:g}",
        gate["plcc_spread_pass"],
    )
    for seed, value in sorted(gate["per_seed_plccs"].items(), key=lambda item: int(item[0])):
        yield row(
            f"seed {seed}", figure(value), f"at least {gate['per_seed_min']:g}", int(seed) not in gate["failing_seeds"]
        )
    for name, found in gate.items():
        if not isinstance(found, Mapping) or "passed" not in found:
            continue
        title = name.replace("_", " ")
        if not found.get("judged", True):
            yield row(title, NONE, NONE, found["passed"], found.get("why"))
        elif name == "monotonicity":
            yield row(
                "order within ladders",
                f"{_share(found['ordered_share'])} of {found['pairs']} pairs in order (teacher {_share(found['teacher_ordered_share'])}), "
                f"{found['violations']} beyond the tolerance; largest excess {figure(found['worst']['excess'], 3)}",
                f"no excess above {found['tolerance']:g}",
                found["passed"],
                found["why"],
            )
        elif name == "pooled":
            for key, bound in found["limits"].items():
                figures = found["figures"][key.partition("_")[0]]
                low = key.endswith("_min")
                yield row(
                    f"{key.partition('_')[0].upper()} of all held-out rows",
                    f"{figure(figures['mean'])} (worst seed {figure(figures['min' if low else 'max'])})",
                    "none" if bound is None else f"at {'least' if low else 'most'} {bound:g}",
                    found["passed"],
                    found["why"],
                )
        elif name == "extrapolation":
            limit = found["worst_plcc_min"]
            yield row(
                f"worst {found['by']} held out",
                f"{figure(found['worst_plcc'])} ({found['worst']['held_out']}, seed {found['worst']['seed']})",
                "none" if limit is None else f"at least {limit:g}",
                found["passed"],
                found["why"],
            )
        elif name == "hard_negatives":
            yield from _negative_rows(found, row)
        else:
            yield row(title, NONE, NONE, found["passed"], found.get("why"))


def _negative_rows(found: Mapping[str, Any], row: Any) -> Iterator[list[Cell]]:
    for case, told in found["cases"].items():
        scores, teacher, worst = told["scores"], told["teacher"], told["worst"]
        least, most = worst["at_least"], worst["at_most"]
        limit = " and ".join(
            f"{word} {value:.2f}" for word, value in (("at least", least), ("at most", most)) if value is not None
        )
        measured = NONE if scores is None else f"{scores[0]:.2f} to {scores[1]:.2f}"
        yield row(
            f"hard negatives: {case}",
            f"{measured} on {told['clips']} clips (teacher {teacher[0]:.2f} to {teacher[1]:.2f})",
            f"{limit or NONE} on {worst['clip']}",
            told["passed"],
            told["why"],
        )
    span = found["range"]
    lowest, highest = ("not finite" if span[key] is None else f"{span[key]:.2f}" for key in ("lowest", "highest"))
    low, high = span["allowed"]
    yield row("hard negatives: every frame", f"{lowest} to {highest}", f"{low:g} to {high:g}", span["passed"])


def _limits(page: Page, card: _Card) -> None:
    sidecar = card.sidecar
    html = "<h3>Where not to use it</h3>" + _notes(_warnings(card))
    if sidecar:
        transforms = sidecar.get("input_transforms", {})
        scaling = sidecar["input_normalization"]
        cells = [
            [
                text(name), number(float(sidecar["feature_ranges"][name][0])), number(float(sidecar["feature_ranges"][name][1])),
                number(float(scaling["mean"][place])), number(float(scaling["std"][place])), text(transforms.get(name) or NONE),
            ]
            for place, name in enumerate(sidecar["features"])
        ]  # fmt: skip
        html += table(
            "Range of each input over the training rows, and the scaler (after the transform, where there is one)",
            ("input", "smallest", "largest", "mean", "std", "transform"),
            cells,
        )
    shares = _outside(card)
    if shares:
        html += table(
            f"Rows of a held-out {card.by} with an input outside of what the fold had seen, in percent",
            (card.by, "rows", "% outside", "most often", "its range against the training range"),
            [
                [
                    text(s["fold"]),
                    number(s["rows"]),
                    number(100 * s["share"], 2),
                    text(s["feature"] or NONE),
                    text(s["seen"]),
                ]
                for s in shares
            ],
        )
    page.section("limits", "Limits", html)


def _outside(card: _Card) -> list[dict[str, Any]]:
    rows, sidecar = card.rows, card.sidecar
    if rows is None or not sidecar or card.loso["split"]["protocol"] != "leave_one_out":
        return []
    if card.by not in rows.columns or not set(sidecar["features"]) <= set(rows.columns):
        return []
    return measures.out_of_range(card.run, rows)


def _warnings(card: _Card) -> Iterator[str]:
    sidecar, loso = card.sidecar, card.loso
    if not card.ships:
        why = f": {card.held['reason']}" if card.held else ""
        yield f"Anywhere but in experiments: it is not in the registry{why}."
    target = _target(card)
    if target == _TEACHER:
        yield (
            "As a stand-in for viewers: it imitates a teacher, VMAF as libvmaf computes it, and is wrong wherever the "
            "teacher is."
        )
    folds = [fold for seed in card.model.seeds.values() for fold in (seed.loso or {"folds": []})["folds"]]
    worst = min(folds, key=lambda fold: -1.0 if fold["plcc"] is None else fold["plcc"])
    plcc = "not defined" if worst["plcc"] is None else f"{worst['plcc']:.4f}"
    yield (
        f"On material unlike its {loso['n_folds']} sources without a look at the figures: on the worst of them, "
        f"{worst['held_out']}, PLCC was {plcc} and RMSE {worst['rmse']:.2f}."
    )
    beside = [fold for seed in card.model.seeds.values() for fold in _folds_of(seed, "beside").values()]
    if beside:
        low = min(beside, key=lambda fold: -1.0 if fold["plcc"] is None else fold["plcc"])
        plcc = "not defined" if low["plcc"] is None else f"{low['plcc']:.4f}"
        yield f"With a whole {loso['beside']['by']} unseen the worst PLCC was {plcc} ({low['held_out'].partition(':')[2] or low['held_out']})."
    if sidecar:
        yield from _input_warnings(card, sidecar)
    rows = card.rows
    if rows is not None and target in rows.columns:
        low_score, high_score = rows[target].quantile([0.01, 0.99])
        yield (
            f"For scores outside of what it was trained on: 98 % of its rows have {target} between {low_score:.1f} and "
            f"{high_score:.1f}."
        )
    if rows is not None and "codec" in rows.columns:
        yield f"For encoders that it never saw, without a check: its rows are of {', '.join(sorted(rows['codec'].unique()))}."


def _input_warnings(card: _Card, sidecar: Mapping[str, Any]) -> Iterator[str]:
    clamped = sidecar.get("input_guard", "none") == "clamp"
    yield (
        "Outside of the ranges below: "
        + (
            f"{_guard(sidecar)}, so that scores stay sane but no longer follow the picture."
            if clamped
            else "nothing keeps inputs inside of them, and a network that extrapolates may answer anything."
        )
        + " load_model and eval report the share of such rows."
    )
    codec = sidecar["codec"]
    if codec is not None and codec["blind"] is None:
        yield f"For encoders other than {', '.join(codec['slots'])}: its vocabulary has no slot for an unknown one, so they are refused."
    elif codec is not None:
        yield "With the codec left out, where it is known: the model then takes the slot for an unknown encoder."


def _ensemble(page: Page, card: _Card) -> None:
    found = card.model.ensemble
    if found is None:
        return
    gate, confidence, rows = found["coverage_gate"], found["confidence"], found["eval"]["rows"]
    measured = gate["empirical_coverage"]
    facts = [
        ("verdict", badge(found["verdict"] == "PROMOTE", str(found["verdict"]))),
        ("members", text(", ".join(f"seed {member['seed']}" for member in found["members"]))),
        ("method", text(confidence["method"])),
        ("intervals should hold", text(_share(gate["nominal_coverage"]))),
        ("they hold, on unseen rows", text("not measured" if measured is None else _share(measured))),
        ("may be off by", text(_share(gate["coverage_tolerance"]))),
        ("mean standard deviation over the members", text(f"{rows['mean_sigma']:.3f}")),
        ("RMSE of the members' mean", text(f"{rows['rmse']:.3f}")),
    ]
    html = _facts("The seeds as one model", facts)
    if gate["why"]:
        html += f"<p>{escape(str(gate['why']))}.</p>"
    scopes = [("rows", rows), ("means over clips", found["eval"]["clip_means"])]
    html += table(
        f"Intervals that should hold {_share(gate['nominal_coverage'])}, calibrated on the other units: how much of a unit they hold",
        ("of", "method", "% held", "mean of units", "worst unit", "% of it held", "mean width"),
        [
            [
                text(scope), text(method), number(_percent(told["empirical_coverage"]), 2), number(_percent(told["mean_over_units"]), 2),
                text(told["worst_unit"] or NONE), number(_percent(told["worst_coverage"]), 2), number(told["mean_width"], 3),
            ]
            for scope, assessed in scopes
            if assessed is not None
            for method, told in assessed["coverage"].items()
        ],
    )  # fmt: skip
    page.section("ensemble", "Ensemble and intervals", html)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _int8(page: Page, card: _Card) -> None:
    variants = [(seed, variant) for seed in card.model.seeds.values() for variant in seed.variants]
    if not variants:
        page.section("int8", "Int8 variants", "<p>None was made.</p>")
        return
    cells: list[list[Cell]] = []
    sentences: list[str] = []
    for seed, variant in variants:
        data = variant.data
        times = _latency(card, variant.onnx)
        fp32, int8 = int(data["fp32"]["bytes"]), int(data["int8"]["bytes"])
        ratio = None if times is None else times[1] / times[0]
        cells.append(
            [
                text(variant.mode), text(seed.number), number(data["plcc_fp32"], 5), number(data["plcc_int8"], 5),
                number(data["drop"], 6, sign=True), number(data["drop_worst_fold"], 6, sign=True), number(float(data["budget"]), 3),
                number(data["rmse_int8_fp32"], 3), number(fp32), number(int8),
                number(None if times is None else times[0]), number(None if times is None else times[1]),
                badge(data["passed"], "passed" if data["passed"] else "refused"),
            ]
        )  # fmt: skip
        if seed is card.seed:
            sentences += _plain_words(variant.mode, fp32, int8, ratio)
            if data["missed"]:
                sentences.append(f"{variant.mode} is kept out of the registry: {'; '.join(data['missed'])}.")
    head = (
        "mode", "seed", "PLCC fp32", "PLCC int8", "drop", "worst fold", "budget", "RMSE to fp32", "fp32 bytes", "int8 bytes",
        "fp32 ms", "int8 ms", "gate",
    )  # fmt: skip
    html = _notes(sentences)
    html += table(
        "Each variant on held-out rows; milliseconds are medians for 240 rows on one thread, on the machine that made them",
        head,
        cells,
    )
    frame, _ = measures.int8_frame(card.run)
    page.columns("int8", frame)
    html += page.figure(
        "int8-drop",
        charts.bars(
            "int8",
            "drop",
            "drop of PLCC (shorter is better)",
            limit="budget",
            fmt=".6f",
            tooltips=("plcc_fp32", "plcc_int8", "rmse"),
        ),
        f"Drop of PLCC through int8 per held-out {card.by} and seed; bars to the left mean that int8 did better. The dashed line "
        "is the budget for the mean.",
    )
    page.section("int8", "Int8 variants", html)


def _plain_words(mode: str, fp32: int, int8: int, slower: float | None) -> Iterator[str]:
    """Whether a variant is smaller and faster, in words that nobody can misread."""
    factor = int8 / fp32
    if factor > 1:
        yield f"{mode} is larger than the fp32 file, {factor:.2f} times: {int8:,} against {fp32:,} bytes. It saves no space."
    else:
        yield f"{mode} is smaller than the fp32 file, {factor:.2f} times its size: {int8:,} against {fp32:,} bytes."
    if slower is None:
        return
    if slower > 1:
        yield f"{mode} is slower than fp32: a clip takes {slower:.2f} times as long. It saves no time."
    else:
        yield f"{mode} is faster than fp32: a clip takes {slower:.2f} times as long."


def _latency(card: _Card, onnx: Path) -> tuple[float, float] | None:
    """Median milliseconds of fp32 and int8 as the variant's manifest has them."""
    measured = card.manifests.get(onnx.as_posix(), {}).get("run", {}).get("measured", {})
    try:
        return float(measured["latency_fp32"]["p50_ms"]), float(measured["latency_int8"]["p50_ms"])
    except (KeyError, TypeError):
        return None


def _reproduce(page: Page, card: _Card) -> None:
    lines, engines = [], []
    for manifest in card.manifests.values():
        if manifest["argv"] and manifest["argv"][0].startswith("vmaf-train"):
            lines.append(shlex.join(manifest["argv"]))
        else:
            # Made by a program rather than by the command: what it was asked says the same.
            lines.append(f"# {manifest['entrypoint']}, called with {manifest['args']}")
        engine = manifest["engine"]
        packages = ", ".join(f"{name} {version}" for name, version in sorted(manifest["packages"].items()))
        engines.append(
            (f"code of stage {engine['stage']}", f"fingerprint {engine['fingerprint']}, pyvmaf {engine['pyvmaf']}")
        )
        engines.append((f"packages of stage {engine['stage']}", packages or "none that matter"))
    onnx = card.seed.onnx
    html = "<p>All at once, with everything before it:</p>" + _code(
        [
            f"snakemake --cores all {onnx.as_posix() if onnx is not None else f'results/models/{card.model.name}/verdict.json'}"
        ]
    )
    if lines:
        html += "<p>Step by step, as it was done (from the manifests beside the files):</p>" + _code(
            dict.fromkeys(lines)
        )
    else:
        html += "<p>No manifest lay beside its files.</p>"
    html += _facts("What it was made with", [(name, text(value)) for name, value in dict.fromkeys(engines)])
    html += (
        "<p>The same bytes, configuration and seed give the same weights and the same file on the same type of machine. "
        "<code>vmaf-train trace</code> tells how a file came about, back to the videos.</p>"
    )
    page.section("reproduce", "How to make it again", html)


def _hashes(page: Page, card: _Card) -> None:
    cells = [[text("table"), text("all"), digest(card.loso["table"]["sha256"])]]
    cells.append([text("settings"), text("all"), digest(str(card.loso["train_config_hash"]).removeprefix("sha256:"))])
    for n, seed in card.model.seeds.items():
        if seed.loso is not None:
            cells.append([text("weights"), text(n), digest(seed.loso["weights_sha256"])])
            cells.append([text("held-out predictions"), text(n), digest(seed.loso["predictions_sha256"])])
        if seed.sidecar is not None:
            cells.append([text(seed.sidecar["onnx"]), text(n), digest(seed.sidecar["sha256"])])
        cells += [[text(v.onnx.name), text(n), digest(v.data["int8"]["sha256"])] for v in seed.variants]
    if card.entry is not None:
        cells += [
            [
                text(f"registry: {name.removesuffix('_sha256') or 'onnx'}"),
                text(card.seed.number),
                digest(card.entry[name]),
            ]
            for name in sorted(card.entry)
            if name.endswith("sha256")
        ]
    facts = [(f"this card: {key}", text(value)) for key, value in sorted(engine_block("card").items())]
    page.section(
        "hashes",
        "Hashes",
        table("SHA-256 of every file", ("file", "seed", "SHA-256"), cells) + _facts("Made with", facts),
    )


# ---------------------------------------------------------------------------------------------------------


def _read_rows(card: _Card, path: Path | None) -> tuple[pd.DataFrame | None, Path | None]:
    """The training table, checked to be the one that the reports speak of; None where it is not at hand."""
    import pyarrow.parquet as pq

    stated = card.loso["table"]
    if path is None:
        if card.seed.sidecar_path is None:
            return None, None
        path = layout.TABLE.under(layout.SIDECAR.results_folder(card.seed.sidecar_path), table=stated["name"])
        if not path.is_file():
            return None, None
    elif not path.is_file():
        raise MissingFileError(f"no such file: {path}")
    found = sha256_file(path)
    if found != stated["sha256"]:
        raise IntegrityError(
            f"{path} has sha256 {found}, but {card.model.name} was trained on {stated['sha256']}: a card of another table "
            "would be wrong; fit the model again, or name its own table with --features"
        )
    present = pq.read_schema(path).names
    wanted = [*_TABLE_COLUMNS, _target(card), card.by, *card.sidecar.get("features", ())]
    rows: pd.DataFrame = pq.read_table(path, columns=[n for n in dict.fromkeys(wanted) if n in present]).to_pandas()
    for name in {*_TABLE_COLUMNS, card.by} & set(rows.columns):
        rows[name] = rows[name].astype(str)
    return rows, path


def _read_manifests(card: _Card, table_path: Path | None) -> dict[str, dict[str, Any]]:
    """Manifests of everything that led from the table to the files that are shown, in the order of the steps."""
    artefacts: list[Path] = [] if table_path is None else [table_path]
    homes = [seed.predictions.parent for seed in card.model.seeds.values() if seed.predictions is not None]
    artefacts += [home / "weights.safetensors" for home in homes]
    if homes:
        artefacts.append(homes[0].parent / "verdict.json")
        # One that lies there from another configuration is not this run's.
        if card.model.ensemble is not None:
            artefacts.append(homes[0].parent / "ensemble.json")
    if card.seed.onnx is not None:
        artefacts.append(card.seed.onnx)
    artefacts += [variant.onnx for seed in card.model.seeds.values() for variant in seed.variants]
    found = {}
    for path in artefacts:
        try:
            found[path.as_posix()] = read_manifest(path)
        except MissingFileError:
            continue
    return found


def build_card(
    run: Run, name: str, *, table_path: Path | None = None, report: str | None = None, points: int = 400
) -> tuple[str, dict[str, str], list[Path]]:
    """The card of one model.

    Args:
        run: what `read_run` read; other models in it are left alone.
        name: the model's id.
        table_path: the table that it was trained on; by default the one of its name in the same results folder.
        report: the run's page as seen from the card, to link back to.
        points: most points per fold in the scatter plot.

    Returns:
        The page, the content hash of each manifest that it tells from, and the table's path where it was read.

    Raises:
        InputError: there is no such model, or nothing was fitted.
        IntegrityError: the table is another one, or a file does not fit the others.
    """
    if name not in run.models or not any(seed.loso for seed in run.models[name].seeds.values()):
        known = [m.name for m in run.models.values() if any(seed.loso for seed in m.seeds.values())]
        raise unknown_name("model with a LOSO report", name, known)
    model = run.models[name]
    model.seeds = {number_: seed for number_, seed in model.seeds.items() if seed.loso is not None}
    listed = run.registry or {"models": [], "held": []}
    entry = next((e for e in listed["models"] if e["id"] == name), None)
    held = next((e for e in listed["held"] if e["id"] == name), None)
    card = _Card(Run({name: model}, registry=run.registry), model, model.shown, entry, held, None, points=points)
    card.rows, used = _read_rows(card, table_path)
    card.manifests = _read_manifests(card, used)
    page = Page(title=name, verb="card")
    said = str(card.sidecar.get("description") or "").rstrip(".")
    state = "It ships." if card.ships else "It is held and does not ship." if held else "It is not in the registry."
    page.lede = f"{said}. {state}" if said else state
    if report is not None:
        page.links.append((report, "All models of this run"))
    for section in (_glance, _data, _protocol, _figures, _gates, _ensemble, _limits, _int8, _reproduce, _hashes):
        section(page, card)
    hashes = {Path(key).name + f" of {Path(key).parent.name}": m["content_sha256"] for key, m in card.manifests.items()}
    return render(page), hashes, [] if used is None else [used]


def write_cards(
    paths: Iterable[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    *,
    models: Sequence[str] = (),
    table: Path | None = None,
    report: str | None = None,
    points: int = 400,
) -> list[Path]:
    """Write ``{id}.html`` for each model, with its manifest, and return the paths.

    Args:
        paths: as `pyvmaf.reports.read.read_run` takes them.
        folder: where the cards go.
        models: ids; by default every model that was fitted.
        table: the table that they were trained on; see `build_card`.
        report, points: as in `build_card`.

    Raises:
        MissingFileError, InputError, IntegrityError: see `read_run` and `build_card`.
    """
    run = read_run(paths)
    names = list(models) or [m.name for m in run.models.values() if any(seed.loso for seed in m.seeds.values())]
    written = []
    for name in names:
        target = Path(folder) / f"{name}.html"
        html, hashes, used = build_card(run, name, table_path=table, report=report, points=points)
        write_text(target, html)
        mine = [path for path in run.files if name in path.parts or path.name == "registry.json"]
        write_manifest(
            target,
            verb="card",
            args={"model": name, "report": report, "points": points},
            inputs={"read": mine, "features": used},
            outputs={},
            # Latencies stand on it, and those differ from run to run.
            timings={"card": target},
            details={"manifests": hashes},
        )
        written.append(target)
    return written
