"""A paper's table with our numbers beside it, and its findings with our verdicts."""

import csv
import io
import math
import textwrap
from collections.abc import Mapping, Sequence

from gpz_jax.estimates import Estimate
from gpz_jax.results.formats import align
from gpz_jax.tradeoff.comparison import compare
from gpz_jax.tradeoff.judging import Judged, gather, resolve
from gpz_jax.tradeoff.points import Point, list_points
from gpz_jax.tradeoff.published import Paper, PublishedRow, StudyRows
from gpz_jax.tradeoff.tables import percent
from gpz_jax.types import LINE_WIDTH, Treatment

_HEADER = (
  *('net', 'treatment', 'accuracy', 'ours', 'AttAcc@1', 'ours', 'Delta', 'ours'),
)
CSV_COLUMNS = (
  *('finding', 'of', 'claim', 'verdict', 'reason', 'run', 'before', 'after'),
  *('here', 'why', 'change', 'low', 'high', 'over', 'by_seed', 'margin'),
  *('accuracy_lost', 'within'),
)


def format_table(paper: Paper, table: str, runs: Mapping[str, StudyRows]) -> str:
  """A table of the paper, with what our runs gave beside each number.

  Args:
    paper: The paper, with the names of runs that `runs` has.
    table: Number of the table.
    runs: The rows of finished studies, by the name of their flagfile.

  Returns:
    Lines of plain text. Numbers are in percent; a dash is where there is none. A line
    below the table names each run whose numbers stand beside those of several nets.
  """
  lines, notes = [list(_HEADER)], []
  for row in paper.rows:
    if row.table != table:
      continue
    if row.note:
      notes.append(f'{"*" * (len(notes) + 1)} {row.note[0].upper()}{row.note[1:]}.')
    mark = '*' * len(notes) if row.note else ''
    lines.append(_line(row, mark, gather(runs, row.run)))
  return '\n'.join([*align(lines), *notes, *_list_shared(paper, table, runs)])


def format_findings(judged: Sequence[Judged]) -> str:
  """The verdict on each finding as a paragraph; the paper's findings come first."""
  found = []
  for of, title in (('paper', "The paper's findings"), ('ours', 'Questions of ours')):
    those = [each for each in judged if each.finding.of == of]
    if those:
      found += ['', title]
      found += [
        textwrap.fill(f'- {each.sentence()}', LINE_WIDTH, subsequent_indent='  ')
        for each in those
      ]
  return '\n'.join(found).strip('\n')


def write_csv(judged: Sequence[Judged]) -> str:
  """Every comparison behind the verdicts as CSV, a line for each."""
  text = io.StringIO()
  writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator='\n')
  writer.writeheader()
  for each in judged:
    finding = each.finding
    shared = {
      'finding': finding.name,
      'of': finding.of,
      'claim': finding.text,
      'verdict': each.verdict,
      'reason': each.reason,
      'margin': finding.margin,
      'within': finding.within,
    }
    for one in each.contrasts:
      own = {
        'run': one.run,
        'before': one.before,
        'after': one.after,
        'here': one.verdict,
        'why': one.why,
        'change': _plain(one.change.mean),
        'low': _plain(one.change.low),
        'high': _plain(one.change.high),
        'over': one.change.over,
        'by_seed': ' '.join(f'{value:.4g}' for value in one.by_seed),
        'accuracy_lost': _plain(one.cost),
      }
      writer.writerow(shared | own)
  return text.getvalue()


def _list_shared(paper: Paper, table: str, runs: Mapping[str, StudyRows]) -> list[str]:
  """A line for each run that stands for several of the table's nets."""
  nets: dict[str, dict[str, None]] = {}
  for row in paper.rows:
    if row.table == table:
      nets.setdefault(row.run, {})[row.net] = None
  found = []
  for run, names in nets.items():
    models = sorted({row['model'] for row in gather(runs, run).rows})
    if len(names) > 1 and models:
      found.append(
        f'Ours of {" and ".join(names)} is one net, {models[0]} of {run}, which stands'
        ' for each of them.'
      )
  return found


def _line(row: PublishedRow, mark: str, study: StudyRows) -> list[str]:
  point, baseline = _find(row, study)
  accuracy = att_acc = Estimate()
  delta = math.nan
  if point is not None:
    accuracy, att_acc = point.accuracy, point.att_acc
    if baseline is not None and baseline.treatment != point.treatment:
      delta = compare(point, baseline).delta
  return [
    row.net,
    row.treatment,
    _published(row.accuracy) + (mark if row.accuracy is None else ''),
    accuracy.format(percent),
    _published(row.att_acc),
    att_acc.format(percent),
    _published(row.delta) + (mark if row.accuracy is not None else ''),
    '-' if math.isnan(delta) else f'{delta:.2f}',
  ]


def _find(row: PublishedRow, study: StudyRows) -> tuple[Point | None, Point | None]:
  """Our point for a row, and the untreated one, each if it has finished.

  The paper's Delta is against untreated targets, so that nothing nearest to them can
  stand beside it.
  """
  points = {point.treatment: point for point in list_points(study.rows)}
  if not points:
    return None, None
  found = [points[t] for t in resolve(row.treatment, study) if t in points]
  return (found[0] if found else None), points.get(Treatment())


def _published(value: float | None) -> str:
  return '-' if value is None else f'{value:.2f}'


def _plain(value: float) -> str:
  return '' if math.isnan(value) else f'{value:.6g}'
