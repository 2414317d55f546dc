"""Artefacts to pages: ``report.html`` for a run, ``check.html`` for a cohort."""
