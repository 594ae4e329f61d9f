"""One self-contained HTML page: findings in words, figures, tables, and the structures themselves."""

from bodyorder.report.curve_section import CurveSet
from bodyorder.report.html import Report, write_report

__all__ = ["CurveSet", "Report", "write_report"]
