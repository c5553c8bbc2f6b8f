"""The page a sweep ends with."""

import math
import pathlib
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from gpz_jax import atomic, results
from gpz_jax.report import figures, shell, svg
from gpz_jax.report.styles import treatment_colours
from gpz_jax.report.theory import Theory, read_theory, section
from gpz_jax.report.workdir import Findings, read_workdir
from gpz_jax.results import Row, formats
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import Treatment
from gpz_jax.zone import accuracies
from gpz_jax.zone.golden_zone import MEANING
from gpz_jax.zone.worth import RUNGS

ABOVE = 'The table below holds the same numbers.'
# Columns of the table with every row that are shown where they hold anything.
OF_TARGET = (
  ('skips_final', 'skips in the end'),
  ('finetuned_from', 'fine-tuned from'),
)
OF_JUDGE = ('judge_recognised', 'recognised by the judge')
# Columns of the table with every row, behind those of the treatment, and their titles.
PER_ROW = (
  ('seed', 'seed'),
  ('split', 'split'),
  ('attack', 'attack'),
  ('test_mse', 'MSE'),
  ('test_psnr', 'PSNR'),
  ('test_ssim', 'SSIM'),
  ('test_cosine', 'cosine'),
  ('recognised', 'recognised'),
  ('test_mse_paper', 'MSE summed'),
  ('test_psnr_paper', 'PSNR of batches'),
  ('aux_mse', 'aux MSE'),
  ('aux_psnr', 'aux PSNR'),
  ('aux_mse_paper', 'aux MSE summed'),
  ('aux_psnr_paper', 'aux PSNR of batches'),
  ('best_epoch', 'best epoch'),
  ('epochs', 'epochs'),
  ('status', 'status'),
  ('doubt', 'doubt'),
)


def build(workdir: str | pathlib.Path) -> pathlib.Path:
  """Writes the report of a sweep, finished or running, into workdir/report.

  index.html holds all it needs; mse_psnr.png and reconstructions.png, and where the
  theory was measured theory*.png, are its figures for use elsewhere.

  Args:
    workdir: Folder of a sweep, with results.parquet or results.jsonl; config.json,
      env.json, ladder.json, samples/ and theory.parquet or theory.jsonl with theory/
      are used where they exist.

  Returns:
    The path of index.html.

  Raises:
    InputError: no results, or a file that cannot be read.
  """
  findings = read_workdir(workdir)
  theory = read_theory(workdir, findings.rows, findings.ladder)
  folder = Workdir(workdir).report
  folder.mkdir(exist_ok=True)
  figures.save_png(figures.draw_curves(findings), folder / 'mse_psnr.png')
  untreated = results.nearest_untreated(findings.treatments)
  if grid := figures.draw_reconstructions(findings, untreated):
    figures.save_png(grid, folder / 'reconstructions.png')
  drawn = section.draw(theory) if theory else {}
  for name, figure in drawn.items():
    figures.save_png(figure, folder / f'{name}.png')
  index = folder / 'index.html'
  text = render(findings, figures.draw_curve_panels(findings), theory, drawn)
  # JSON may hold half of a character, which no file can.
  atomic.write_text(index, text.encode(errors='replace').decode())
  return index


def render(
  findings: Findings,
  curves: Sequence[Figure],
  theory: Theory | None = None,
  drawn: Mapping[str, Figure] | None = None,
) -> str:
  """The HTML text of the page.

  Args:
    findings: The sweep.
    curves: The panels with error against split, see `figures.draw_curve_panels`.
    theory: What was measured of the theory, if anything.
    drawn: The figures of the theory, see `section.draw`.
  """
  of_treatment = Treatment.list_telling(findings.treatments)
  told = [(n, t) for n, t in OF_TARGET if any(row[n] for row in findings.rows)]
  is_judged = any(math.isfinite(row[OF_JUDGE[0]]) for row in findings.rows)
  compared = figures.draw_attacks(findings) if len(findings.attacks) > 1 else None
  return shell.render(
    'page.html',
    f=findings,
    first=findings.rows[0],
    headline=make_headline(findings),
    colours=treatment_colours(findings.treatments),
    rungs=RUNGS,
    meaning=MEANING,
    guessing=_list_guessing(findings),
    of_treatment=of_treatment,
    per_row=(
      *((name, name) for name in of_treatment),
      *told,
      *PER_ROW,
      *([OF_JUDGE] if is_judged else []),
    ),
    rows=sorted(findings.rows, key=_sort_key),
    compared=compared and svg.embed(compared, ABOVE),
    curves=svg.embed(curves, ABOVE),
    selections=sorted({row['selection'] for row in findings.rows}),
    diverged=sum(row['status'] == 'diverged' for row in findings.rows),
    seeds=sorted({row['seed'] for row in findings.rows}),
    t=theory,
    **(section.describe(theory, drawn or {}) if theory else {}),
  )


def _list_guessing(findings: Findings) -> list[str]:
  """The treatments with targets within reach of guessing, each with its accuracy.

  Where only some seeds of a treatment guess, it names them.
  """
  found = []
  for each in findings.treatments:
    for split in (None, *findings.splits):
      guessing = accuracies.list_guessing(findings.strongest, each, split)
      if guessing:
        of_all = accuracies.of_seeds(findings.strongest, each, split)
        seeds = formats.join_words([*map(str, guessing)])
        which = (
          ''
          if len(guessing) == len(of_all)
          else f' with seed{"s" * (len(guessing) > 1)} {seeds}'
        )
        accuracy = results.mean([*guessing.values()])
        where = '' if split is None else ' at some splits'
        found.append(f'{each}{which}: {accuracy:.1%} test accuracy{where}')
        break
  return found


def make_headline(findings: Findings) -> str:
  """The answer of the sweep in one sentence, with the treatments it cannot judge."""
  zones = findings.zone.treatments
  doubtful = [zone.treatment for zone in zones if zone.doubts]
  judged = [zone for zone in zones if not zone.doubts]
  few = [zone.treatment for zone in judged if zone.jump_to is None]
  treated: dict[str | None, list[Treatment]] = {}
  for zone in judged:
    if zone.jump_to is not None:
      treated.setdefault(zone.split, []).append(zone.treatment)
  if not treated:
    if doubtful:
      return 'No conclusion can be drawn from these results'
    return 'Fewer than two splits have a result, so no zone can be named'
  nowhere = treated.pop(None, [])
  unknown = {
    'no conclusion can be drawn': doubtful,
    'fewer than two splits have a result': few,
  }
  rest = [f'; {why} for {_name(those)}' for why, those in unknown.items() if those]
  if not treated:
    of = f' for {_name(nowhere)}' if rest else ''
    return ''.join([f'No split is in a golden zone{of}', *rest])
  parts = [f'{start} for {_name(those)}' for start, those in treated.items()]
  if nowhere:
    parts.append(f'nowhere for {_name(nowhere)}')
  elif len(parts) == 1 and not rest:
    parts = [str(next(iter(treated)))]
  said = f'The golden zone starts at {formats.join_words(parts)}'
  return ''.join([said, _say_recognisable(findings), *rest])


def _say_recognisable(findings: Findings) -> str:
  """The end of a headline about zones that leave images recognisable; '' for others."""
  zones = [zone for zone in findings.zone.treatments if zone.split is not None]
  those = [zone.treatment for zone in zones if zone.recognisable]
  if not those:
    return ''
  of = '' if len(those) == len(zones) else f' for {_name(those)}'
  return f', but images stay recognisable there{of}'


def _name(treatments: list[Treatment]) -> str:
  """Several treatments in a sentence: 'alpha 0 and 0.3'."""
  return f'alpha {formats.join_words([*map(formats.format_treatment, treatments)])}'


def _sort_key(row: Row) -> tuple[int, Treatment, int, str]:
  """The order of the table with every row."""
  return row['split_index'], Treatment.of(row), row['seed'], row['attack']
