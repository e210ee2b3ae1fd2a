"""Section: rate and quality of the encodes."""

from __future__ import annotations

from pyvmaf.reports import charts, measures
from pyvmaf.reports.elements import Figure, Section, number, table, text
from pyvmaf.reports.pages.run.report import MOST_PANELS, Report


def section(report: Report) -> Section | None:
    """Show mean VMAF against bitrate per clip and codec."""
    if not report.run.records:
        return None
    frame = measures.rate_quality(report.run.records, report.rows)
    if frame.empty:
        return None
    clips = sorted(set(frame["panel"]))
    values = table(
        "All rungs of all clips",
        ("clip", "codec", "rung", "kbit/s", "mean VMAF", "5th percentile"),
        [
            [
                *(text(r[name]) for name in ("panel", "codec", "rung")),
                number(r["kbps"], 1),
                number(r["vmaf"], 2),
                number(r["low"], 2),
            ]
            for r in measures.as_rows(frame)
        ],
    )
    caption = (
        "Mean VMAF of each encode against its bitrate (logarithmic, measured from the file), per clip and codec. The "
        "models are trained on these rungs."
    )
    if frame.attrs["without_rate"]:
        caption += f" Left out: {frame.attrs['without_rate']} raw files, of which the rate of the encode is unknown."
    if len(clips) > MOST_PANELS:
        caption += f" The chart shows the first {MOST_PANELS} of {len(clips)} clips, the table all of them."
    figure = Figure("rates", charts.curves("rates", report.codecs), caption, values)
    drawn = frame[frame["panel"].isin(clips[:MOST_PANELS])]
    return Section("rates", "Rate and quality", (figure,), {"rates": drawn})
