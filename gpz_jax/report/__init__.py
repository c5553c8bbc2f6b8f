"""Rows to tables, figures and one HTML page that needs nothing beside it."""

from gpz_jax.report.page import build
from gpz_jax.report.workdir import Findings, embedding_path, read_workdir, sample_path

__all__ = ['Findings', 'build', 'embedding_path', 'read_workdir', 'sample_path']
