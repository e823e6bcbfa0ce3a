"""Audits: from evaluations of models to ``results.json``, tables, plots and a page."""

from evenface.report.audit.page import write_audit
from evenface.report.audit.results import Audit, collect_audit

__all__ = ["Audit", "collect_audit", "write_audit"]
