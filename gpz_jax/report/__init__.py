"""Rows to tables, figures and one HTML page that needs nothing beside it."""

from gpz_jax.report.dispatch import build, is_inversion
from gpz_jax.report.workdir import Findings, read_workdir

__all__ = ['Findings', 'build', 'is_inversion', 'read_workdir']
