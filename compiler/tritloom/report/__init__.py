"""Tables, report.json, the HTML report and the README of a bundle. Each figure says what it is."""

from __future__ import annotations

from .data import Check, Image, PassRow, ReportData
from .net import NetReportData, net_report_files, net_tables
from .render import render_page, render_readme, render_report, report_files, report_json
from .tables import TableData, comparison_table, estimate_table, estimate_tables, pass_rows

__all__ = [
    "Check",
    "Image",
    "NetReportData",
    "PassRow",
    "ReportData",
    "TableData",
    "comparison_table",
    "estimate_table",
    "estimate_tables",
    "net_report_files",
    "net_tables",
    "pass_rows",
    "render_page",
    "render_readme",
    "render_report",
    "report_files",
    "report_json",
]
