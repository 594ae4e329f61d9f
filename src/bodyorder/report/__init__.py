"""One self-contained HTML page: findings in words, figures, tables, and the structures themselves."""

from bodyorder.report.html import Report, write_report

__all__ = ["Report", "write_report"]
