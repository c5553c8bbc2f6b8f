"""Activations in two dimensions, split by split: the paper's Figure 3."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gpz_jax.report.styles import INK, MARKERS, MUTED, STYLE, treatment_colours
from gpz_jax.results import Row, most_smoothed, nearest_untreated
from gpz_jax.results.formats import shorten
from gpz_jax.study import pictures
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError, Treatment

COLUMNS = 8  # the most splits that are shown
COLUMN_WIDTH = 2.2  # inches, of one split where it is a figure of its own
# Paul Tol's muted colours and a grey, told apart with common colour vision deficiency.
PALETTE = ('#332288', '#cc6677', '#117733', '#ddcc77', '#88ccee')
PALETTE += ('#882255', '#44aa99', '#999933', '#aa4499', '#8a939c')
TWINS = {'silhouette': 'silhouette', 'radius_per_dim': '$R_c^2/D$', 'nc1': 'NC1'}


class Embedding(NamedTuple):
  """The activations of one target at one split, and the numbers of the same target."""

  points: np.ndarray  # [N, 2]
  label: np.ndarray  # [N] int
  seed: int
  twins: dict[str, float]  # of TWINS, those that were measured


def read_embeddings(
  workdir: pathlib.Path, theory_rows: Iterable[Row]
) -> dict[tuple[Treatment, str], Embedding]:
  """The embeddings of the lowest seed that has one, for each treatment and split.

  One whose checksum differs is left out, as one that was never made.

  Raises:
    InputError: a file holds something else.
  """
  numbers: dict[tuple[Treatment, str, int, str], dict[str, float]] = {}
  for row in theory_rows:
    key = (Treatment.of(row), row['split'], row['seed'], row['lane_id'])
    twins = numbers.setdefault(key, {})
    if row['epoch'] == 0 and row['quantity'] in TWINS:
      twins[row['quantity']] = row['value']
  found: dict[tuple[Treatment, str], Embedding] = {}
  checksums = pictures.read_checksums(Workdir(workdir).embeddings)
  for (treatment, split, seed, lane_id), twins in sorted(
    numbers.items(), key=lambda item: item[0][2]
  ):
    path = Workdir(workdir).embedding(lane_id, split)
    is_wanted = (treatment, split) not in found and path.exists()
    if is_wanted and pictures.find_state(path, checksums) != 'damaged':
      table = _read(path)
      found[treatment, split] = Embedding(
        table[:, :2], table[:, 2].astype(int), seed, twins
      )
  return found


def choose(
  embedded: Mapping[tuple[Treatment, str], Embedding], splits: Sequence[str]
) -> tuple[list[Treatment], list[str]]:
  """What is shown: the least treated and the most smoothed; splits, evenly from all.

  Args:
    embedded: The embeddings there are, at least one.
    splits: The splits in forward order.
  """
  treatments = sorted({treatment for treatment, _ in embedded})
  ends = nearest_untreated(treatments), most_smoothed(treatments)
  shown = list(dict.fromkeys(ends))
  having = [s for s in splits if any((each, s) in embedded for each in shown)]
  places = np.linspace(0, len(having) - 1, min(COLUMNS, len(having)))
  return shown, [having[i] for i in places.round().astype(int)]


def draw_embedding_panels(
  embedded: Mapping[tuple[Treatment, str], Embedding], splits: Sequence[str]
) -> list[Figure]:
  """The columns of `draw_embeddings`, a figure each, without the names of classes."""
  if not embedded:
    return []
  treatments, shown = choose(embedded, splits)
  classes = list_classes(embedded, splits)
  figures = []
  with mpl.rc_context(STYLE):
    for split in shown:
      size = (COLUMN_WIDTH, (COLUMN_WIDTH + 0.85) * len(treatments))
      figure = Figure(figsize=size, layout='constrained')
      column = figure.subplots(len(treatments), 1, squeeze=False)[:, 0]
      title = shorten(split, 18)
      column[0].set_title(title, parse_math=False, loc='center', fontsize=11)
      for axes, treatment in zip(column, treatments, strict=True):
        _draw_panel(axes, embedded.get((treatment, split)), classes)
        axes.set_ylabel(str(treatment), fontweight='bold', fontsize=11)
      figures.append(figure)
  return figures


def list_classes(
  embedded: Mapping[tuple[Treatment, str], Embedding], splits: Sequence[str]
) -> np.ndarray:
  """The classes of the points that are shown, ascending."""
  treatments, shown = choose(embedded, splits)
  panels = [embedded[t, s] for t in treatments for s in shown if (t, s) in embedded]
  return np.unique(np.concatenate([panel.label for panel in panels]))


def name_classes(
  embedded: Mapping[tuple[Treatment, str], Embedding], splits: Sequence[str]
) -> dict[int, str]:
  """The colour of each class; {} where there are too many to tell them apart."""
  classes = list_classes(embedded, splits) if embedded else ()
  if len(classes) > len(PALETTE):
    return {}
  return dict(zip(map(int, classes), PALETTE, strict=False))


def draw_embeddings(
  embedded: Mapping[tuple[Treatment, str], Embedding], splits: Sequence[str]
) -> Figure | None:
  """One row per treatment, one column per split; None where nothing is embedded."""
  if not embedded:
    return None
  treatments, shown = choose(embedded, splits)
  classes = list_classes(embedded, splits)
  with mpl.rc_context(STYLE):
    columns = max(len(shown), 3)  # a legend has to fit
    side = 11.5 / max(columns, 5)
    size = (side * columns, (side + 0.85) * len(treatments) + 0.6)
    figure = Figure(figsize=size, layout='constrained')
    grid = figure.subplots(len(treatments), len(shown), squeeze=False)
    colours = treatment_colours(sorted(treatments))
    for i, treatment in enumerate(treatments):
      for j, split in enumerate(shown):
        _draw_panel(grid[i, j], embedded.get((treatment, split)), classes)
        if i == 0:
          grid[i, j].set_title(split, parse_math=False, loc='center', fontsize=11)
      grid[i, 0].set_ylabel(
        str(treatment), color=colours[treatment], fontweight='bold', fontsize=11
      )
    if len(classes) <= len(PALETTE):
      _name_classes(figure, grid[0, 0], classes)
    return figure


def _draw_panel(axes: Axes, found: Embedding | None, classes: np.ndarray) -> None:
  axes.set_xticks([])
  axes.set_yticks([])
  for spine in axes.spines.values():
    spine.set(visible=True, color='#d5dbe1', linewidth=0.8)
  if found is None:
    axes.set_xlabel('not embedded', color=MUTED, fontsize=9.5)
    return
  for i, k in enumerate(classes):
    axes.scatter(
      *found.points[found.label == k].T,
      s=9,
      color=PALETTE[i % len(PALETTE)],
      marker=MARKERS[i // len(PALETTE) % len(MARKERS)],
      linewidths=0,
      alpha=0.85,
      rasterized=True,  # thousands of points would weigh more than their picture
    )
  axes.margins(0.06)
  twins = [
    f'{label} {found.twins[name]:.3g}'
    for name, label in TWINS.items()
    if np.isfinite(found.twins.get(name, np.nan))
  ]
  axes.set_xlabel('\n'.join(twins), color=INK, fontsize=9.5, linespacing=1.3)


def _name_classes(figure: Figure, axes: Axes, classes: np.ndarray) -> None:
  handles = [
    axes.scatter([], [], s=36, color=colour, linewidths=0)
    for colour, _ in zip(PALETTE, classes, strict=False)
  ]
  figure.legend(
    handles,
    [str(k) for k in classes],
    title='class',
    loc='outside lower center',
    ncols=len(classes),
    frameon=False,
    fontsize=9.5,
    handletextpad=0.1,
    columnspacing=1.2,
  )


def _read(path: pathlib.Path) -> np.ndarray:
  """[N, 3] float, N at least 1."""
  try:
    table = np.load(path, allow_pickle=False)
  except (OSError, ValueError, EOFError) as error:
    raise InputError(f'cannot read embedding {str(path)!r}: {error}') from error
  if table.ndim != 2 or table.shape[1] != 3 or not len(table):
    raise InputError(f'{str(path)!r} must hold an array [N, 3], got {table.shape}')
  if not np.isfinite(table).all():
    raise InputError(f'{str(path)!r} holds points that are not finite; remove it')
  return table
