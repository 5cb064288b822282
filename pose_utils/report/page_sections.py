"""The sections of the page that come from records alone: environment, status matrix, published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pose_utils.report.markup import escape, show_table, status_html
from pose_utils.report.published import published_benchmark, published_robustness, published_source
from pose_utils.report.words import readable
from pose_utils.study.latency import latency_summary


@dataclass(frozen=True)
class Section:
    """One section: `body` is HTML that was escaped where it was made, all else is plain text."""

    id: str
    title: str
    body: str
    status: str = ""
    remark: str = ""


def complaint(name: str, title: str, messages: list[str]) -> Section:
    """Shows what could not be read."""
    items = "".join(f"<li>{escape(message)}</li>" for message in messages)
    return Section(name, title, f'<div class="failure"><ul>{items}</ul></div>')


def environment(info: Mapping[str, Any]) -> list[Section]:
    """Shows run.json; digests, package versions and long entries are folded."""
    if not info:
        return []
    rows = [{"what": key, "value": value} for key, value in _flat(info) if key != "schema_version"]
    folded = ("sha256", "digest", "packages")
    long = [row for row in rows if len(row["value"]) > 90 or any(word in row["what"] for word in folded)]
    short = [row for row in rows if row not in long]
    body = show_table(pd.DataFrame(short, columns=["what", "value"]), "What this run ran on and with").html
    if long:
        table = show_table(
            pd.DataFrame(long), "Long entries, such as the digests of weights and the versions of packages"
        ).html
        body += f"<details><summary>{len(long)} more entries</summary>{table}</details>"
    return [Section("environment", "Environment", body)]


def status_matrix(backends: pd.DataFrame | None) -> list[Section]:
    """Shows a row for each back end and precision, a column for each model, and the reasons, numbered."""
    if backends is None or backends.empty:
        return []
    models = list(dict.fromkeys(backends["model"]))
    reasons: list[str] = []
    rows = []
    for place, group in backends.groupby(["backend", "precision", "device"], sort=False):
        cells = [_status_cell(group[group["model"] == model], reasons) for model in models]
        heading = escape(" · ".join(part for part in place if part))
        rows.append(f'<tr><th scope="row">{heading}</th>{"".join(cells)}</tr>')
    head = "".join(f'<th scope="col">{escape(model)}</th>' for model in models)
    caption = "Models on back ends; megabytes of the file, ‡ random weights"
    table = (
        f'<div class="table" role="region" tabindex="0" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption>"
        f'<thead><tr><th scope="col">back end · precision · device</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    listed = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    why = f'<p class="hint">Why rows are missing:</p><ol class="hint">{listed}</ol>' if reasons else ""
    return [Section("status", "What ran here", table + why)]


def _status_cell(rows: pd.DataFrame, reasons: list[str]) -> str:
    if rows.empty:
        return f"<td>{status_html('not run')}</td>"
    row = rows.iloc[-1]
    text = status_html(row["status"])
    if row["status"] != "ok":
        if row["reason"] not in reasons:
            reasons.append(row["reason"])
        text += f" ({reasons.index(row['reason']) + 1})"
    elif row["size_bytes"] > 0:
        text += f" {row['size_bytes'] / 1e6:.1f}"
    return f"<td>{text}{' ‡' if row['weights'] == 'random' else ''}</td>"


def published_beside_ours(latency: pd.DataFrame | None, metrics: pd.DataFrame | None) -> list[Section]:
    """Sets the published figures beside ours, as soon as one of the two studies has run."""
    body = ""
    if latency is not None and not latency.empty:
        ours = latency_summary(latency).sort_values(["persons", "median_ms"])
        keys = ["backend", "device", "precision", "pipeline"]
        ours = ours.drop_duplicates(keys)[[*keys, "median_ms", "models"]].rename(
            columns={"median_ms": "ours"}
        )
        rows = published_benchmark().merge(ours, on=keys, how="left").fillna({"models": "not run here"})
        shown = {
            "name": "configuration",
            "median_ms": "published on a T4",
            "ours": "ours",
            "models": "our models",
        }
        body += show_table(
            rows,
            "Milliseconds per call (median). Another machine and other models: not a race.",
            columns=shown,
            formats={"median_ms": ".1f", "ours": ".1f"},
        ).html
    if metrics is not None and not metrics.empty:
        ours = metrics[metrics["metric"] == "detection_rate"].drop_duplicates("condition")
        rows = published_robustness().merge(
            ours[["condition", "value", "low", "high", "n"]], on="condition", how="left"
        )
        rows["condition"] = rows["condition"].map(readable)
        shown = {
            "condition": "condition",
            "detection_rate": "published on a T4",
            "value": "ours",
            "low": "from",
            "high": "to",
            "n": "our pictures",
        }
        body += show_table(
            rows,
            "Share of pictures in which somebody was found, ours with its 95 % interval.",
            columns=shown,
            formats={"detection_rate": ".3f", "value": ".3f", "low": ".3f", "high": ".3f", "n": ".0f"},
        ).html
    if not body:
        return []
    return [
        Section(
            "published",
            "Published figures beside ours",
            body + f'<p class="hint">{escape(published_source())}</p>',
        )
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key} · ")
        elif isinstance(value, list):
            rows.append((prefix + str(key), ", ".join(map(str, value))))
        else:
            rows.append((prefix + str(key), "" if value is None else str(value)))
    return rows
