"""One self-contained HTML page from the results of a study (extra ``report``)."""

from evenface.report.markdown import markdown_table
from evenface.report.page import write_report

__all__ = ["markdown_table", "write_report"]
