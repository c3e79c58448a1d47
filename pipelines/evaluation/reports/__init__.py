"""Evaluation reports: one self-contained HTML page from artifacts' data, the same bytes for the same data."""

from pipelines.evaluation.reports.base import base_report_html
from pipelines.evaluation.reports.comparison import comparison_report_html
from pipelines.evaluation.reports.data import BaseReport, ComparisonReport, from_json, to_json

__all__ = ["BaseReport", "ComparisonReport", "base_report_html", "comparison_report_html", "from_json", "to_json"]
