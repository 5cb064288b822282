"""Every figure of the report in one place: each takes a data frame and returns a matplotlib figure.

They know nothing of files and notebooks; `style.themed(plots.latency_by_config, latency, alt=...)` draws
one in both themes.
"""

from pose_utils.report.plots_accuracy import (
    failure_shares,
    joint_values,
    metric_by_condition,
    metric_by_severity,
    published_detection_rate,
)
from pose_utils.report.plots_failures import (
    failure_flow,
    loss_by_stage,
    losses_by_group,
    precision_changes,
    score_reliability,
)
from pose_utils.report.plots_latency import (
    latency_by_config,
    latency_by_persons,
    latency_distribution,
    speedup_bars,
    stage_waterfall,
)
from pose_utils.report.plots_models import (
    accuracy_against_latency,
    file_sizes,
    layer_signals,
    parity_dots,
    published_latency,
    simcc_curves,
)

__all__ = [
    "accuracy_against_latency", "failure_flow", "failure_shares", "file_sizes", "joint_values",
    "latency_by_config", "latency_by_persons", "latency_distribution", "layer_signals", "loss_by_stage",
    "losses_by_group", "metric_by_condition", "metric_by_severity", "parity_dots", "precision_changes",
    "published_detection_rate", "published_latency", "score_reliability", "simcc_curves", "speedup_bars",
    "stage_waterfall",
]  # fmt: skip
