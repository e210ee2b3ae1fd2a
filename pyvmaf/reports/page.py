"""The page: one HTML file that needs nothing but itself.

Its content policy forbids every request, so it cannot fetch anything even by mistake. Every chart has a caption and
the table of its figures; where scripts are off the tables remain.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.provenance import engine_block, package_versions, write_manifest, write_text
from pyvmaf.reports import charts, measures
from pyvmaf.reports.collect import Run, collect
from pyvmaf.reports.summary import summarise

if TYPE_CHECKING:
    import pandas as pd

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
_NONE = "\N{EN DASH}"

# More panels than this would be looked at by nobody and make the page slow; the tables hold everything.
_MOST_PANELS = 24


@dataclass(frozen=True)
class Cell:
    """One table cell: ready HTML, and whether it is a number."""

    html: str
    number: bool = False


def text(value: object) -> Cell:
    """A cell with plain text."""
    return Cell(escape(str(value)))


def number(value: float | int | None, digits: int = 4, *, sign: bool = False) -> Cell:
    """A cell with a number, a dash where there is none."""
    if value is None or value != value:
        return Cell(_NONE, number=True)
    if isinstance(value, int):
        return Cell(f"{value:,}".replace(",", "\u202f"), number=True)
    return Cell(f"{value:{'+' if sign else ''}.{digits}f}", number=True)


def spread(figure: Mapping[str, float | None], digits: int) -> Cell:
    """A cell with mean ± standard deviation."""
    mean, std = figure["mean"], figure["std"]
    if mean is None:
        return Cell(_NONE, number=True)
    tail = "" if std is None else f' <span class="std">± {std:.{digits}f}</span>'
    return Cell(f"{mean:.{digits}f}{tail}", number=True)


def badge(good: bool, word: str) -> Cell:
    """A cell with a verdict: word, sign and colour say the same."""
    return Cell(f'<span class="badge {"good" if good else "bad"}">{"✓" if good else "✗"} {escape(word)}</span>')


def digest(value: str | None) -> Cell:
    """A cell with a hash, whole."""
    return Cell(_NONE if value is None else f'<span class="hash">{escape(value)}</span>')


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """An HTML table; the first cell of each row is the row's heading."""
    body = [list(row) for row in rows]
    numeric = [bool(body) and all(row[i].number for row in body) for i in range(len(head))]
    ths = "".join(
        f'<th scope="col"{" class=num" if n else ""}>{escape(h)}</th>' for h, n in zip(head, numeric, strict=True)
    )
    trs = []
    for row in body:
        cells = [f'<th scope="row">{row[0].html}</th>']
        cells += [f"<td{' class=num' if cell.number else ''}>{cell.html}</td>" for cell in row[1:]]
        trs.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{ths}</tr></thead><tbody>{''.join(trs)}</tbody></table></div>"
    )


@dataclass
class _Page:
    """What is gathered while the sections are written."""

    title: str
    lede: str = ""
    sections: list[tuple[str, str, str]] = field(default_factory=list)
    specs: dict[str, dict[str, Any]] = field(default_factory=dict)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)

    def section(self, key: str, title: str, html: str) -> None:
        self.sections.append((key, title, html))

    def figure(self, key: str, spec: dict[str, Any], caption: str, figures: str = "") -> str:
        """A chart with its caption, and its figures in a table that is folded away."""
        self.specs[key] = spec
        folded = (
            f'<details class="data"><summary>The figures as a table</summary>{figures}</details>' if figures else ""
        )
        return (
            f"<figure><figcaption>{escape(caption)}</figcaption>"
            f'<div class="chart" data-spec="{escape(key)}" data-label="{escape(caption)}"></div>'
            f"<noscript><p>Charts need scripts; the tables hold their figures.</p></noscript>{folded}</figure>"
        )

    def columns(self, key: str, frame: pd.DataFrame) -> None:
        """Keep a data set by column, each word once."""
        self.data[key] = {str(name): _column(frame[name]) for name in frame.columns}


def _column(values: pd.Series[Any]) -> Any:
    plain = values.tolist()
    if not plain or not isinstance(plain[0], str):
        return [None if v is None or v != v else v for v in plain]
    words = list(dict.fromkeys(plain))
    place = {word: i for i, word in enumerate(words)}
    return {"words": words, "at": [place[v] for v in plain]}


# ---------------------------------------------------------------------------------------------------------
# Sections


def _summary_table(models: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for m in models:
        verdict = text("not judged") if m["verdict"] is None else badge(m["verdict"] == "PROMOTE", m["verdict"])
        int8 = m["int8"]
        rows.append(
            [
                text(m["model"]),
                number(m["n_params"]),
                spread(m["loso"]["plcc"], 4),
                spread(m["loso"]["srocc"], 4),
                spread(m["loso"]["rmse"], 3),
                verdict,
                number(m["onnx_bytes"]),
                Cell("<br>".join(number(v["bytes"]).html for v in int8) or _NONE, number=True),
                Cell("<br>".join(number(v["drop"], 5).html for v in int8) or _NONE, number=True),
                Cell("<br>".join(badge(v["passed"], f"within {v['budget']:g}" if v["passed"] else "refused").html
                                 for v in int8) or _NONE),
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


def _fit_section(page: _Page, run: Run, codecs: Sequence[str], points: int) -> None:
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


def _loso_section(page: _Page, run: Run) -> None:
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


def _rates_section(page: _Page, run: Run, codecs: Sequence[str], rows: pd.DataFrame | None) -> None:
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


def _int8_section(page: _Page, run: Run, codecs: Sequence[str], rows: pd.DataFrame | None, points: int) -> None:
    frame, reports = measures.int8_frame(run)
    if not reports:
        return
    page.columns("int8", frame)
    cells = [
        [
            text(r["model"]), text(r["seed"]), text(r["mode"]), number(r["plcc_fp32"], 5), number(r["plcc_int8"], 5),
            number(r["drop"], 5, sign=True), number(r["drop_worst_fold"], 5, sign=True), number(float(r["budget"]), 3),
            number(r["rmse_int8_fp32"], 3), number(r["fp32"]["bytes"]), number(r["int8"]["bytes"]),
            badge(r["passed"], "passed" if r["passed"] else "refused"),
        ]
        for r in reports
    ]  # fmt: skip
    head = (
        "model", "seed", "mode", "PLCC fp32", "PLCC int8", "drop", "worst fold", "budget", "RMSE to fp32",
        "fp32 bytes", "int8 bytes", "gate",
    )  # fmt: skip
    html = table("Every int8 variant: means over the held-out sources, against the budget", head, cells)
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


def _verdict_section(page: _Page, run: Run) -> None:
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
        parts.append(f"<div><h3>{escape(model.name)} {badge(good, str(model.verdict['verdict'])).html}</h3>")
        caption = f"Mean PLCC over every held-out {model.verdict['split']['by']}"
        parts.append(table(caption, ("what", "measured", "gate", "result"), rows) + "</div>")
    if parts:
        page.section("verdicts", "Verdicts", f'<div class="cards">{"".join(parts)}</div>')


def _corpora_section(page: _Page, run: Run, rows: pd.DataFrame | None) -> None:
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


def _range_section(page: _Page, run: Run, rows: pd.DataFrame | None) -> None:
    if rows is None:
        return
    shares = measures.out_of_range(run, rows)
    if not shares:
        return
    cells = [
        [
            text(s["fold"]), text(s["models"]), number(s["rows"]), number(100 * s["share"], 2), text(s["feature"] or _NONE),
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


def _provenance_section(page: _Page, run: Run) -> None:
    block = engine_block("reports")
    facts = [[text(f"this page: {key}"), text(value)] for key, value in sorted(block.items())]
    facts += [[text(f"package {key}"), text(value)] for key, value in sorted(package_versions("reports").items())]
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


def _asset(name: str) -> str:
    return resources.files("pyvmaf.reports").joinpath("assets", name).read_text(encoding="utf-8")


def _runtime() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, out of the installed package."""
    import vl_convert

    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its stub wants what it makes optional


def _inline(value: str) -> str:
    # The parser ends a script at the first closing tag, wherever it stands.
    return value.replace("</", "<\\/")


def _json(value: Any) -> str:
    return _inline(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False))


def _html(page: _Page) -> str:
    nav = "".join(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, title, _ in page.sections)
    body = "".join(
        f'<section aria-labelledby="{key}"><h2 id="{key}">{escape(title)}</h2>{html}</section>'
        for key, title, html in page.sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{_asset('page.css')}</style></head><body>"
        f'<a class="skip" href="#main">To the results</a><header><h1>{escape(page.title)}</h1>'
        f'<p class="lede">{escape(page.lede)}</p><nav aria-label="Sections"><ul>{nav}</ul></nav></header>'
        f'<main id="main">{body}</main>'
        "<footer>Made by vmaf-train report. The page holds all that it shows and requests nothing.</footer>"
        f'<script type="application/json" id="data">{_json(page.data)}</script>'
        f'<script type="application/json" id="specs">{_json(page.specs)}</script>'
        f'<script type="module">{_inline_script(_runtime())}</script>'
        f'<script type="module">{_inline_script(_asset("page.js"))}</script></body></html>\n'
    )


def _inline_script(source: str) -> str:
    if "</script" in source.lower():
        raise ValueError("a script that is to stand in the page holds a closing tag")
    return source


def build_page(run: Run, *, points: int = 400) -> str:
    """The whole page as one text, the same for the same run.

    Args:
        run: what `collect` read.
        points: most points per fold in the scatter plots; which ones are drawn is decided without chance.
    """
    models = summarise(run)["models"]
    rows = measures.all_rows(run)
    codecs = measures.codec_order(run, rows)
    shipped = [m["model"] for m in models if m["verdict"] == "PROMOTE"]
    page = _Page(title="What this run reached")
    held = len(models) - len(shipped)
    page.lede = (
        f"{len(shipped)} of {len(models)} models pass their gates"
        + (f" ({', '.join(shipped)})" if shipped else "")
        + (f"; {held} held. " if held else ". ")
        + "Every figure is of sources that the judged model had not seen."
    )
    page.section("summary", "Models", _summary_table(models))
    _fit_section(page, run, codecs, points)
    _loso_section(page, run)
    _rates_section(page, run, codecs, rows)
    _int8_section(page, run, codecs, rows, points)
    _verdict_section(page, run)
    _corpora_section(page, run, rows)
    _range_section(page, run, rows)
    _provenance_section(page, run)
    return _html(page)


def write_report(paths: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str], *, points: int = 400) -> int:
    """Write the page and return its size in bytes.

    Args:
        paths: as `pyvmaf.reports.collect.collect` takes them.
        output: the page, with its manifest beside it.
        points: most points per fold in the scatter plots.

    Raises:
        MissingFileError, InputError, IntegrityError: see `collect`.
    """
    target = Path(output)
    run = collect(paths)
    html = build_page(run, points=points)
    write_text(target, html)
    write_manifest(
        target,
        verb="report",
        stage="reports",
        args={"output": target, "points": points},
        inputs={"read": run.files},
        outputs={"page": target},
        details={
            # Corpus rows hold clock readings, so the files' hashes differ from run to run; what is read of them does not.
            "records_sha256": measures.records_digest(run.records),
            "models": list(run.models),
        },
    )
    return len(html.encode())
