"""The page of a workdir, of whichever study it is."""

import os
import pathlib

from gpz_jax import results
from gpz_jax.report import page
from gpz_jax.report.inversion import page as inversion_page
from gpz_jax.results.inversions import INVERSIONS
from gpz_jax.study.workdir import Workdir


def build(workdir: str | pathlib.Path) -> pathlib.Path:
  """Writes the report of a study, finished or running, into workdir/report.

  Args:
    workdir: Folder of a sweep, see `page.build`, or of a study of model inversion, see
      `inversion.page.build`.

  Returns:
    The path of index.html.

  Raises:
    InputError: no results, or a file that cannot be read.
  """
  build_page = inversion_page.build if is_inversion(workdir) else page.build
  return build_page(workdir)


def is_inversion(workdir: str | pathlib.Path) -> bool:
  """Whether a workdir is that of a study of model inversion.

  Raises:
    InputError: config.json cannot be read.
  """
  folder = Workdir(workdir)
  paths = (folder.lines(INVERSIONS), folder.table(INVERSIONS))
  if any(os.path.exists(path) for path in paths):  # `Path.exists` raises on long names
    return True
  if os.path.exists(folder.lines()) or os.path.exists(folder.table()):
    return False
  return 'public_dataset' in results.read_object(folder.config)
