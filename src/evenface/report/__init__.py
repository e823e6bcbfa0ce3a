"""One self-contained HTML page from the results of a study (extra ``report``)."""

from evenface.report.study.page import write_report

__all__ = ["write_report"]
