"""Rows to tables, figures and one HTML page that needs nothing beside it."""

from gpz_jax.report.dispatch import build
from gpz_jax.report.workdir import Findings, read_workdir

__all__ = ['Findings', 'build', 'read_workdir']
