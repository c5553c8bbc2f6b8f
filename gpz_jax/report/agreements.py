"""How often the theory names the attack's split, over several sweeps."""

import os
import pathlib
from collections.abc import Iterable

from gpz_jax import results, zone

TITLE = "How often the theory alone names the attack's split, by model:"


def describe(workdirs: Iterable[str | os.PathLike[str]]) -> str:
  """A table over sweeps, with a line for each model and probe.

  Args:
    workdirs: Folders of sweeps, finished or running. Those in which no theory was
      measured say nothing.

  Returns:
    Lines of plain text; '' where nothing can be compared.

  Raises:
    InputError: A folder cannot be read.
  """
  sweeps = []
  for workdir in map(pathlib.Path, workdirs):
    rows, _ = results.read_workdir(workdir)
    theory_rows, _ = results.read_workdir(workdir, results.THEORY, missing_ok=True)
    sweeps.append((rows, theory_rows))
  table = zone.format_agreements(zone.agreement_by_model(sweeps))
  return f'{TITLE}\n{table}' if table else ''
