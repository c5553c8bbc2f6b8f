"""The page a sweep ends with."""

import base64
import io
import pathlib
from collections.abc import Mapping

import jinja2
import markupsafe
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from gpz_jax import atomic, results
from gpz_jax.report import figures, formats
from gpz_jax.report.theory import Theory, read_theory, section
from gpz_jax.report.workdir import Findings, read_workdir

PER_ROW = (  # columns of the table with every row, and how each is written
  ('alpha', 'alpha'),
  ('seed', 'seed'),
  ('split', 'split'),
  ('attack', 'attack'),
  ('test_mse', 'MSE'),
  ('test_psnr', 'PSNR'),
  ('test_ssim', 'SSIM'),
  ('test_cosine', 'cosine'),
  ('test_mse_paper', 'MSE summed'),
  ('test_psnr_paper', 'PSNR of batches'),
  ('aux_mse', 'aux MSE'),
  ('aux_psnr', 'aux PSNR'),
  ('aux_mse_paper', 'aux MSE summed'),
  ('aux_psnr_paper', 'aux PSNR of batches'),
  ('best_epoch', 'best epoch'),
  ('epochs', 'epochs'),
  ('status', 'status'),
)


def build(workdir: str | pathlib.Path) -> pathlib.Path:
  """Writes the report of a sweep, finished or running, into workdir/report.

  index.html holds all it needs; mse_psnr.png and reconstructions.png, and where the
  theory was measured theory*.png, are its figures for use elsewhere.

  Args:
    workdir: folder of a sweep, with results.parquet or results.jsonl; config.json,
      env.json, ladder.json, samples/ and theory.parquet or theory.jsonl with theory/
      are used where they exist.

  Returns:
    The path of index.html.

  Raises:
    InputError: no results, or a file that cannot be read.
  """
  findings = read_workdir(workdir)
  theory = read_theory(workdir, findings.rows, findings.ladder)
  folder = pathlib.Path(workdir) / 'report'
  folder.mkdir(exist_ok=True)
  curves = figures.draw_curves(findings)
  figures.save_png(curves, folder / 'mse_psnr.png')
  nearest_zero = min(findings.alphas, key=abs)
  if grid := figures.draw_reconstructions(findings, nearest_zero):
    figures.save_png(grid, folder / 'reconstructions.png')
  drawn = section.draw(theory) if theory else {}
  for name, figure in drawn.items():
    figures.save_png(figure, folder / f'{name}.png')
  index = folder / 'index.html'
  # JSON may hold half of a character, which no file can.
  text = render(findings, curves, theory, drawn).encode(errors='replace')
  atomic.write_text(index, text.decode())
  return index


def render(
  findings: Findings,
  curves: Figure,
  theory: Theory | None = None,
  drawn: Mapping[str, Figure] | None = None,
) -> str:
  """The HTML text of the page."""
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader('gpz_jax', 'report'),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters |= {
    'bytes': results.format_bytes,
    'count': formats.format_count,
    'error': formats.format_error,
    'fixed': formats.format_fixed,
    'setting': formats.format_setting,
    'share': formats.format_share,
    'strip': encode_strip,
  }
  compared = figures.draw_attacks(findings) if len(findings.attacks) > 1 else None
  return environment.get_template('page.html').render(
    f=findings,
    first=findings.rows[0],
    headline=make_headline(findings),
    colours=figures.alpha_colours(findings.alphas),
    rungs=figures.RUNGS,
    per_row=PER_ROW,
    rows=sorted(
      findings.rows,
      key=lambda row: (row['split_index'], row['alpha'], row['seed'], row['attack']),
    ),
    compared=compared and markupsafe.Markup(figures.encode_svg(compared)),
    curves=markupsafe.Markup(figures.encode_svg(curves)),
    selections=sorted({row['selection'] for row in findings.rows}),
    diverged=sum(row['status'] == 'diverged' for row in findings.rows),
    seeds=sorted({row['seed'] for row in findings.rows}),
    t=theory,
    **(section.describe(theory, drawn or {}) if theory else {}),
  )


def make_headline(findings: Findings) -> str:
  """The answer of the sweep in one sentence."""
  alphas_of: dict[str | None, list[str]] = {}
  for zone in findings.zone.alphas:
    alphas_of.setdefault(zone.split, []).append(f'{zone.alpha:g}')
  nowhere = alphas_of.pop(None, [])
  if not alphas_of:
    return 'No split is in a golden zone'
  parts = [f'{start} for {_name_alphas(a)}' for start, a in alphas_of.items()]
  if nowhere:
    parts.append(f'nowhere for {_name_alphas(nowhere)}')
  elif len(parts) == 1:
    parts = [str(next(iter(alphas_of)))]
  return f'The golden zone starts at {_enumerate(parts)}'


def _name_alphas(alphas: list[str]) -> str:
  return f'alpha {_enumerate(alphas)}'


def _enumerate(parts: list[str]) -> str:
  """'a', 'a and b', 'a, b and c'."""
  return ' and '.join(filter(None, [', '.join(parts[:-1]), parts[-1]]))


def encode_strip(images: np.ndarray) -> str:
  """Images side by side as a PNG data URI."""
  buffer = io.BytesIO()
  Image.fromarray(figures.join_images(images)).save(buffer, 'png', optimize=True)
  return f'data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'
