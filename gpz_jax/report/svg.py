"""Figures as they stand in the page: SVG, one box each."""

import hashlib
import html
import io
import re
from collections.abc import Iterable, Sequence

import markupsafe
import matplotlib as mpl
from matplotlib.figure import Figure

from gpz_jax.report.styles import STYLE

# Pixels for an inch of a figure. Below the least its text would be too small to read,
# so its box scrolls instead; above the most it would be larger than that of the page.
LEAST, USUAL, MOST = 66, 72, 108
WHOLE_ROW = 6.5  # inches; a wider figure stands alone
# Where matplotlib names an element, and where it refers to one.
ID = re.compile(r'(?<= id=")|(?<=href="#)|(?<=url\(#)')


def embed(figures: Iterable[Figure], note: str | Sequence[str]) -> markupsafe.Markup:
  """The figures side by side where there is room, else one under the other.

  Args:
    figures: The figures, each named by the title of its first panel.
    note: What is said of each to those who cannot see it; a list has one for each.
  """
  figures = list(figures)
  notes = [note] * len(figures) if isinstance(note, str) else note
  boxes = [_box(*pair) for pair in zip(figures, notes, strict=True)]
  return markupsafe.Markup('<div class="panels">' + ''.join(boxes) + '</div>')


def encode_svg(figure: Figure) -> str:
  """The figure as an <svg> element without a background.

  Its text is drawn as paths, names and all. Its ids begin with a hash of its content,
  so that those of several figures differ and the same figure gives the same bytes.
  """
  buffer = io.StringIO()
  with mpl.rc_context(STYLE):
    nothing = dict.fromkeys(('Date', 'Creator'))
    figure.savefig(buffer, format='svg', dpi=200, metadata=nothing, transparent=True)
  text = buffer.getvalue()
  text = text[text.index('<svg') :]
  return ID.sub(f'f{hashlib.sha256(text.encode()).hexdigest()[:8]}-', text)


def _box(figure: Figure, note: str) -> str:
  width = figure.get_figwidth()
  least, usual, most = (round(pixels * width) for pixels in (LEAST, USUAL, MOST))
  style = f'--least: {least}px; --usual: {usual}px; --most: {most}px'
  name = 'scroll panel whole' if width > WHOLE_ROW else 'scroll panel'
  axes = figure.axes[0]
  title = axes.get_title(loc='left') or axes.get_title(loc='center')
  label = html.escape(f'{title}. {note}')
  return (
    f'<div class="{name}" style="{style}">'
    f'<div role="img" aria-label="{label}">{encode_svg(figure)}</div></div>'
  )
