"""The page of a run, for all its models; `pyvmaf.reports.cards` makes one page per model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base.files import write_text
from pyvmaf.base.manifest import engine_block, package_versions, write_manifest
from pyvmaf.reports import charts, measures
from pyvmaf.reports.elements import NONE, Cell, Page, badge, digest, link, number, render, spread, table, text
from pyvmaf.reports.read import Run, read_run
from pyvmaf.reports.summary import summarise

if TYPE_CHECKING:
    import pandas as pd

# More panels than this would be looked at by nobody and make the page slow; the tables hold everything.
_MOST_PANELS = 24


# ---------------------------------------------------------------------------------------------------------
# Sections


def _summary_table(models: Sequence[Mapping[str, Any]], cards: str | None) -> str:
    rows = []
    for m in models:
        verdict = text("not judged") if m["verdict"] is None else badge(m["verdict"] == "PROMOTE", m["verdict"])
        int8 = m["int8"]
        rows.append(
            [
                text(m["model"]) if cards is None else link(f"{cards}/{m['model']}.html", m["model"]),
                number(m["n_params"]),
                spread(m["loso"]["plcc"], 4),
                spread(m["loso"]["srocc"], 4),
                spread(m["loso"]["rmse"], 3),
                verdict,
                number(m["onnx_bytes"]),
                Cell("<br>".join(number(v["bytes"]).html for v in int8) or NONE, number=True),
                Cell("<br>".join(number(v["drop"], 5).html for v in int8) or NONE, number=True),
                Cell("<br>".join(badge(v["passed"], f"within {v['budget']:g}" if v["passed"] else "refused").html
                                 for v in int8) or NONE),
            ]
        )  # fmt: skip
    head = ("model", "parameters", "PLCC", "SROCC", "RMSE", "verdict", "ONNX bytes", "int8 bytes", "int8 drop", "int8")
    seeds = sorted({len(m["seeds"]) for m in models})
    caption = (
        f"Agreement with the teacher on held-out sources: mean over {_span([m['n_folds'] for m in models])} folds, "
        f"then mean ± standard deviation over {_span(seeds)} seeds. Sizes and drop are of the seed that ships; "
        "the drop is PLCC of fp32 less PLCC of int8 on held-out rows."
    )
    return table(caption, head, rows)


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _fit_section(page: Page, run: Run, codecs: Sequence[str], points: int) -> None:
    parts = [
        "<p>Each point is one frame of a source that the model had not seen: neither its weights nor its scaler. On the "
        "dashed line prediction and teacher agree. A click on a codec in the legend brings it out.</p>"
    ]
    for model in run.models.values():
        seed = model.shown
        if seed.predictions is None or seed.loso is None:
            continue
        shown, folds = measures.held_out(seed, points, _MOST_PANELS)
        key = f"fit-{model.name}"
        page.columns(key, shown)
        low = min(0.0, float(shown["prediction"].min()), float(shown["target"].min()))
        high = max(100.0, float(shown["prediction"].max()), float(shown["target"].max()))
        rows = [
            [
                text(f["held_out"]),
                number(f["n_val"]),
                *(number(f[n]) for n in ("plcc", "srocc", "krocc")),
                number(f["rmse"], 3),
            ]
            for f in folds
        ]
        figures = table(
            f"{model.name}, seed {seed.number}: agreement per held-out source, over all of its rows",
            ("held out", "rows", "PLCC", "SROCC", "KROCC", "RMSE"),
            rows,
        )
        total = sum(f["n_val"] for f in folds)
        drawn = f"all {total}" if len(shown) == total else f"{len(shown)} evenly taken of {total}"
        panels = shown["panel"].nunique()
        which = (
            "per held-out source" if panels == len(folds) else f"of the {panels} of {len(folds)} with the lowest PLCC"
        )
        caption = f"{model.name}, seed {seed.number}: prediction against teacher {which} ({drawn} rows)."
        parts.append(f"<h3>{escape(model.name)}</h3>")
        parts.append(page.figure(key, charts.scatter(key, codecs, (low, high)), caption, figures))
    if len(parts) > 1:
        page.section("fit", "Prediction against teacher", "".join(parts))


def _loso_section(page: Page, run: Run) -> None:
    frame = measures.loso_frame(run)
    page.columns("loso", frame)
    rows = [
        [
            text(r["panel"]),
            text(r["fold"]),
            text(r["seed"]),
            number(r["plcc"]),
            number(r["srocc"]),
            number(r["krocc"]),
            number(r["rmse"], 3),
        ]
        for r in measures.as_rows(frame)
    ]
    figures = table("Every fold of every seed", ("model", "held out", "seed", "PLCC", "SROCC", "KROCC", "RMSE"), rows)
    missing = [f"{r['panel']}, {r['fold']}, seed {r['seed']}" for r in measures.as_rows(frame[frame["plcc"].isna()])]
    constant = f" Without a bar, because the predictions are constant: {'; '.join(missing)}." if missing else ""
    gap = charts.bars(
        "loso", "gap", "1 \N{MINUS SIGN} PLCC (shorter is better)", limit="allowed", tooltips=("plcc", "srocc", "rmse")
    )
    rmse = charts.bars("loso", "rmse", "RMSE in VMAF points (shorter is better)", fmt=".3f", tooltips=("plcc", "srocc"))
    html = page.figure(
        "loso-gap",
        gap,
        "Distance from perfect correlation, 1 \N{MINUS SIGN} PLCC, per held-out source and seed. The dashed line is what the gate "
        "allows for the mean over the sources." + constant,
        figures,
    )
    html += page.figure("loso-rmse", rmse, "Root mean squared error per held-out source and seed.")
    page.section("loso", "Leave one source out", html)


def _rates_section(page: Page, run: Run, codecs: Sequence[str], rows: pd.DataFrame | None) -> None:
    if not run.records:
        return
    frame = measures.rate_quality(run.records, rows)
    clips = sorted(set(frame["panel"]))
    page.columns("rates", frame[frame["panel"].isin(clips[:_MOST_PANELS])])
    cells = [
        [
            text(r["panel"]),
            text(r["codec"]),
            text(r["rung"]),
            number(r["kbps"], 1),
            number(r["vmaf"], 2),
            number(r["low"], 2),
        ]
        for r in measures.as_rows(frame)
    ]
    figures = table(
        "Every rung of every clip", ("clip", "codec", "rung", "kbit/s", "mean VMAF", "5th percentile"), cells
    )
    caption = (
        "Mean VMAF of each encode against its bitrate (logarithmic, measured from the file), per clip and codec. These are "
        "the rungs that the models are trained on."
    )
    if len(clips) > _MOST_PANELS:
        caption += f" Drawn are the first {_MOST_PANELS} of {len(clips)} clips; the table has all."
    page.section("rates", "Rate and quality", page.figure("rates", charts.curves("rates", codecs), caption, figures))


def _int8_section(page: Page, run: Run, codecs: Sequence[str], rows: pd.DataFrame | None, points: int) -> None:
    frame, reports = measures.int8_frame(run)
    if not reports:
        return
    page.columns("int8", frame)
    cells = [
        [
            text(r["model"]), text(r["seed"]), text(r["mode"]), number(r["plcc_fp32"], 5), number(r["plcc_int8"], 5),
            number(r["drop"], 5, sign=True), number(r["drop_worst_fold"], 5, sign=True), number(float(r["budget"]), 3),
            number(r["rmse_int8_fp32"], 3), number(r["srocc_int8_fp32"], 5), number(r["fp32"]["bytes"]),
            Cell(f"{number(r['int8']['bytes']).html} {'LARGER' if r['larger_than_fp32'] else 'smaller'}"),
            badge(r["passed"], "passed" if r["passed"] else "refused"), text("; ".join(r["missed"])),
        ]
        for r in reports
    ]  # fmt: skip
    head = (
        "model", "seed", "mode", "PLCC fp32", "PLCC int8", "drop", "worst fold", "budget", "RMSE to fp32",
        "SROCC to fp32", "fp32 bytes", "int8 bytes", "gate", "why not",
    )  # fmt: skip
    html = table("Every int8 variant: means over the held-out sources, against the budget", head, cells)
    larger = sum(r["larger_than_fp32"] for r in reports)
    html += (
        f"<p>{larger} of {len(reports)} int8 files are larger than the fp32 file that they were made from: in the smallest "
        "networks, scales, zero points and nodes weigh more than int8 weights save. How fast both are differs from run to "
        "run, so it stands in the models' cards and in the files' manifests.</p>"
    )
    html += page.figure(
        "int8-drop",
        charts.bars("int8", "drop", "drop of PLCC (shorter is better)", limit="budget", fmt=".5f",
                    tooltips=("plcc_fp32", "plcc_int8", "rmse")),
        "Drop of PLCC through int8 per held-out source and seed; bars to the left mean that int8 did better. The dashed "
        "line is the budget for the mean over the sources.",
    )  # fmt: skip
    shipped = measures.int8_difference(run, rows, points) if rows is not None else None
    if shipped is not None and len(shipped):
        page.columns("int8-shipped", shipped)
        html += page.figure(
            "int8-shipped",
            charts.difference("int8-shipped", codecs),
            f"The exported files, one seed of each model, run on rows evenly taken from all sources ({len(shipped)} points): "
            "what int8 adds to the fp32 score.",
        )
    page.section("int8", "Int8 against fp32", html)


def _verdict_section(page: Page, run: Run) -> None:
    parts = []
    for model in run.models.values():
        if model.verdict is None:
            continue
        gate = model.verdict["gate"]
        good = model.verdict["verdict"] == "PROMOTE"
        rows = [
            [
                text("mean of seeds"), number(gate["mean_plcc"], 5),
                Cell(f"≥ {gate['mean_plcc_threshold']:g}", number=True),
                badge(gate["mean_plcc_pass"], "pass" if gate["mean_plcc_pass"] else "fail"),
            ],
            [
                text("spread of seeds"), number(gate["plcc_spread"], 5),
                Cell(f"≤ {gate['plcc_spread_max']:g}", number=True),
                badge(gate["plcc_spread_pass"], "pass" if gate["plcc_spread_pass"] else "fail"),
            ],
        ]  # fmt: skip
        for seed, value in sorted(gate["per_seed_plccs"].items(), key=lambda item: int(item[0])):
            ok = int(seed) not in gate["failing_seeds"]
            rows.append(
                [
                    text(f"seed {seed}"),
                    number(value, 5),
                    Cell(f"≥ {gate['per_seed_min']:g}", number=True),
                    badge(ok, "pass" if ok else "fail"),
                ]
            )
        rows += _other_gates(gate)
        parts.append(f"<div><h3>{escape(model.name)} {badge(good, str(model.verdict['verdict'])).html}</h3>")
        caption = f"Mean PLCC over every held-out {model.verdict['split']['by']}, then what ladders do not show"
        parts.append(table(caption, ("what", "measured", "gate", "result"), rows) + "</div>")
    if parts:
        page.section("verdicts", "Verdicts", f'<div class="cards">{"".join(parts)}</div>')


def _other_gates(gate: Mapping[str, Any]) -> list[list[Cell]]:
    negatives, order, beyond = gate["hard_negatives"], gate["monotonicity"], gate["extrapolation"]
    told = []
    if negatives["judged"]:
        checks = [*negatives["cases"].values(), negatives["range"]]
        outside = sum(not check["passed"] for check in checks)
        told.append(("hard negatives outside", number(outside), f"0 of {len(checks)} checks", negatives))
    else:
        told.append(("hard negatives", text("-"), "-", negatives))
    if order["judged"]:
        share = text(f"{order['ordered_share']:.2%}")
        told.append(("CRFs in order", share, f"no more than {order['tolerance']:g} wrong", order))
    else:
        told.append(("CRFs in order", text("-"), "-", order))
    if beyond["judged"]:
        limit = beyond["worst_plcc_min"]
        bound = "-" if limit is None else f"≥ {limit:g}"
        told.append((f"worst {beyond['by']} held out", number(beyond["worst_plcc"], 5), bound, beyond))
    else:
        told.append(("worst group held out", text("-"), "-", beyond))
    results = {True: badge(True, "pass"), False: badge(False, "fail"), None: text("not judged")}
    return [[text(name), found, Cell(limit, number=True), results[part["passed"]]] for name, found, limit, part in told]


def _corpora_section(page: Page, run: Run, rows: pd.DataFrame | None) -> None:
    if rows is None:
        return
    clips = measures.corpora_frame(rows, run.records)
    cells = [
        [
            text(r["clip"]), text(r["corpus"]), text(r["source"]), text(r["group"]), text(r["size"]), text(r["rate"]), number(int(r["frames"])),
            number(int(r["rungs"])), number(int(r["rows"])), number(r["low"], 1), number(r["median"], 1), number(r["high"], 1),
        ]
        for r in measures.as_rows(clips)
    ]  # fmt: skip
    head = (
        "clip", "corpus", "source", "group", "size", "frames/s", "frames", "rungs", "rows", "VMAF p1", "median", "p99",
    )  # fmt: skip
    caption = (
        f"{len(clips)} clips of {rows['source'].nunique()} sources and {rows['group'].nunique()} groups: "
        f"{len(rows)} rows. A split by source never has one source on both sides."
    )
    page.section("corpora", "Corpora", table(caption, head, cells))


def _range_section(page: Page, run: Run, rows: pd.DataFrame | None) -> None:
    if rows is None:
        return
    shares = measures.out_of_range(run, rows)
    if not shares:
        return
    cells = [
        [
            text(s["fold"]), text(s["models"]), number(s["rows"]), number(100 * s["share"], 2), text(s["feature"] or NONE),
            number(100 * s["feature_share"], 2), text(s["seen"]),
        ]
        for s in shares
    ]  # fmt: skip
    caption = (
        "Share of a held-out source's rows with a feature outside of what the fold's model was trained on, in percent, and "
        "the feature that is outside most often. There a network extrapolates, and its scores deserve less trust."
    )
    head = (
        "held out",
        "models",
        "rows",
        "% outside",
        "most often",
        "% of rows",
        "its range against the training range",
    )
    page.section("range", "Out of range", table(caption, head, cells))


def _provenance_section(page: Page, run: Run) -> None:
    block = engine_block("report")
    facts = [[text(f"this page: {key}"), text(value)] for key, value in sorted(block.items())]
    facts += [[text(f"package {key}"), text(value)] for key, value in sorted(package_versions("report").items())]
    for model in run.models.values():
        for seed in model.seeds.values():
            if seed.loso is not None:
                made = seed.loso["run_provenance"]
                facts.append([text(f"{model.name}: fit by code"), text(made["engine"]["fingerprint"])])
                versions = ", ".join(f"{k} {v}" for k, v in sorted(made["packages"].items()))
                facts.append([text(f"{model.name}: with"), text(versions)])
                break
    for name, value in measures.teachers(run.shards):
        facts.append([text(name), text(value)])
    hashes = []
    for model in run.models.values():
        for seed in model.seeds.values():
            if seed.loso is None:
                continue
            name = f"{model.name}, seed {seed.number}"
            hashes.append([text(name), text("table"), digest(seed.loso["table"]["sha256"])])
            hashes.append([text(name), text("weights"), digest(seed.loso["weights_sha256"])])
            if seed.sidecar is not None:
                hashes.append([text(name), text("ONNX"), digest(seed.sidecar["sha256"])])
            hashes += [[text(name), text(v.mode), digest(v.data["int8"]["sha256"])] for v in seed.variants]
    html = table("What computed this", ("what", "value"), facts)
    html += (
        "<p>Every file lies beside a manifest that holds its hash, its inputs and its command. "
        "<code>vmaf-train verify results/</code> hashes them all anew; <code>vmaf-train trace FILE</code> tells how one "
        "came about.</p>"
    )
    html += f'<details class="data"><summary>SHA-256 of every table, checkpoint and model</summary>{table("SHA-256", ("model", "file", "SHA-256"), hashes)}</details>'
    page.section("provenance", "Provenance", html)


# ---------------------------------------------------------------------------------------------------------


def build_page(run: Run, *, points: int = 400, cards: str | None = None) -> str:
    """The whole page as one text, the same for the same run.

    Args:
        run: what `read_run` read.
        points: most points per fold in the scatter plots; which ones are drawn is decided without chance.
        cards: folder of the models' cards as seen from the page, to link to; None for no links.
    """
    models = summarise(run)["models"]
    rows = measures.all_rows(run)
    codecs = measures.codec_order(run, rows)
    shipped = [m["model"] for m in models if m["verdict"] == "PROMOTE"]
    page = Page(title="What this run reached")
    held = len(models) - len(shipped)
    page.lede = (
        f"{len(shipped)} of {len(models)} models pass their gates"
        + (f" ({', '.join(shipped)})" if shipped else "")
        + (f"; {held} held. " if held else ". ")
        + "Every figure is of sources that the judged model had not seen."
    )
    page.section("summary", "Models", _summary_table(models, cards))
    _fit_section(page, run, codecs, points)
    _loso_section(page, run)
    _rates_section(page, run, codecs, rows)
    _int8_section(page, run, codecs, rows, points)
    _verdict_section(page, run)
    _corpora_section(page, run, rows)
    _range_section(page, run, rows)
    _provenance_section(page, run)
    return render(page)


def write_report(
    paths: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    points: int = 400,
    cards: str | None = None,
) -> int:
    """Write the page and return its size in bytes.

    Args:
        paths: as `pyvmaf.reports.read.read_run` takes them.
        output: the page, with its manifest beside it.
        points: most points per fold in the scatter plots.
        cards: as in `build_page`.

    Raises:
        MissingFileError, InputError, IntegrityError: see `read_run`.
    """
    target = Path(output)
    run = read_run(paths)
    html = build_page(run, points=points, cards=cards)
    write_text(target, html)
    write_manifest(
        target,
        verb="report",
        args={"output": target, "points": points, "cards": cards},
        inputs={"read": run.files},
        outputs={"page": target},
        details={
            # Corpus rows hold clock readings, so the files' hashes differ from run to run; what is read of them does not.
            "records_sha256": measures.records_digest(run.records),
            "models": list(run.models),
        },
    )
    return len(html.encode())
