"""One self-contained HTML page that is read in a minute: one figure, five sentences, and all details folded below them."""

from bodyorder.report.page import Report, render_report, write_report
from bodyorder.report.section import Picture, Section
from bodyorder.report.table import Table
from bodyorder.report.words import words

__all__ = ["Picture", "Report", "Section", "Table", "render_report", "words", "write_report"]
