"""The page a study of model inversion ends with."""

import pathlib
from collections.abc import Mapping, Sequence

from matplotlib import colors
from matplotlib.figure import Figure

from gpz_jax import atomic, tradeoff
from gpz_jax.report import shell, svg
from gpz_jax.report.figures import save_png
from gpz_jax.report.inversion import figures
from gpz_jax.report.inversion.findings import Findings, read_workdir
from gpz_jax.report.styles import compared_styles
from gpz_jax.results import Row
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import Treatment

ABOVE = 'The tables hold the same numbers.'
# Columns of the table on the quality of reconstructions, their titles and their form.
QUALITY = (
  ('att_acc5', 'AttAcc@5', 'share'),
  ('att_acc1_all', 'AttAcc@1 of all candidates', 'share'),
  ('att_acc5_all', 'AttAcc@5 of all candidates', 'share'),
  ('confidence', "target's confidence", 'share'),
  ('false_positives', 'false positives', 'share'),
  ('delta_eval', 'distance', 'number'),
  ('delta_face', 'distance of faces', 'number'),
  ('fid', 'FID', 'number'),
  ('precision', 'precision', 'number'),
  ('recall', 'recall', 'number'),
  ('density', 'density', 'number'),
  ('coverage', 'coverage', 'number'),
  ('kes', 'student', 'share'),
  ('chance_kes', 'student by chance', 'share'),
)
# Columns of the table with every row, behind those of the treatment.
PER_ROW = (
  ('seed', 'seed', ''),
  ('attack', 'attack', ''),
  ('target_accuracy', 'accuracy', 'share'),
  ('target_val_accuracy', 'val accuracy', 'share'),
  ('att_acc1', 'AttAcc@1', 'share'),
  *QUALITY,
  ('evaluator_accuracy_at_size', 'evaluator at this size', 'share'),
  ('gradient_mean', 'gradient', 'number'),
  ('gradient_std', 'its deviation', 'number'),
  ('wall_seconds', 'seconds', 'number'),
  ('status', 'status', ''),
  ('doubt', 'doubt', ''),
)


def build(workdir: str | pathlib.Path) -> pathlib.Path:
  """Writes the report of a study, finished or running, into workdir/report.

  index.html holds all it needs; the figures are also files beside it, trade.png and so
  on, for use elsewhere.

  Args:
    workdir: Folder of a study, with inversions.parquet or inversions.jsonl; the rows of
      classes, config.json, env.json, samples/ and history/ are used where they exist.

  Returns:
    The path of index.html.

  Raises:
    InputError: no results, or a file that cannot be read.
  """
  findings = read_workdir(workdir)
  drawn = figures.draw(findings)
  folder = Workdir(workdir).report
  folder.mkdir(exist_ok=True)
  for name, panels in drawn.items():
    for i, panel in enumerate(panels):
      save_png(panel, folder / f'{name}{i + 1 if len(panels) > 1 else ""}.png')
  index = folder / 'index.html'
  # JSON may hold half of a character, which no file can.
  atomic.write_text(index, render(findings, drawn).encode(errors='replace').decode())
  return index


def render(findings: Findings, drawn: Mapping[str, Sequence[Figure]]) -> str:
  """The HTML text of the page.

  Args:
    findings: The study.
    drawn: Its figures, see `figures.draw`.
  """
  rows = findings.rows
  of_treatment = Treatment.list_telling(Treatment.of(row) for row in rows)
  styles = compared_styles(findings.treatments, findings.baseline)
  return shell.render(
    'inversion/page.html',
    f=findings,
    first=rows[0],
    colours={t: colors.to_hex(style['color']) for t, style in styles.items()},
    compared={each.point.treatment: each for each in findings.answer.comparisons},
    diverged=sum(row['status'] == 'diverged' for row in rows),
    drawn={name: svg.embed(panels, ABOVE) for name, panels in drawn.items()},
    hours=sum(row['wall_seconds'] for row in rows) / 3600,
    most_classes=figures.MOST_CLASSES,
    per_row=(*((name, name, '') for name in of_treatment), *_known(PER_ROW, rows)),
    quality=_known(QUALITY, rows),
    ranked=tradeoff.RANKED,
    rows=sorted(rows, key=_sort_key),
    seeds=sorted({row['seed'] for row in rows}),
    sheet=_list_sheet(findings),
  )


def _known(
  columns: Sequence[tuple[str, str, str]], rows: Sequence[Row]
) -> list[tuple[str, str, str]]:
  """The columns in which some row has a number, or a text."""
  return [
    column
    for column in columns
    if any(
      row[column[0]] not in ('', None) and row[column[0]] == row[column[0]]
      for row in rows
    )
  ]


def _list_sheet(findings: Findings) -> list[tuple[int, str, int | None]]:
  """Place, name and label of each class that there are private images of."""
  if findings.privates is None:
    return []
  labels = list(findings.class_names)
  return [
    (i, findings.class_names[labels[i]], labels[i])
    if i < len(labels)
    else (i, f'class {i + 1} of those attacked', None)
    for i in range(len(findings.privates))
  ]


def _sort_key(row: Row) -> tuple[Treatment, int, str]:
  """The order of the table with every row."""
  return Treatment.of(row), row['seed'], row['attack']
