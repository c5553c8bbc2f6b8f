"""Theory against attack over the splits: the figure, the votes and a sentence."""

import functools
import math
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gpz_jax.report.figures import (
  IN_FIGURE,
  IN_PANEL,
  Room,
  draw_panels,
  label_splits,
)
from gpz_jax.report.styles import MUTED, STYLE, legend_handles, treatment_styles
from gpz_jax.report.theory.findings import (
  ATTACK,
  ATTACK_SHOWN,
  ENTROPY_VOTE,
  Theory,
  interval,
)
from gpz_jax.results import most_smoothed
from gpz_jax.zone import Vote
from gpz_jax.zone.profiles import Profile

# Both of I(x; z + noise), with the same noise: the truth lies between them.
UPPER, LOWER = 'information_mixture', 'information_infonce'
FEW = 10  # the most splits with which two panels stand side by side
VOTERS = {  # how each is named, and how the size of its step is written
  'attack': ('attack', '{:.3g}x the error'),
  'radius_share': ('radius share', '{:.0%} lower'),
  'entropy': ('entropy bound', '{:.3g} nats a dimension lower'),
  'radius': ('radius, not compared', '{:.0%} lower'),
  'radius_per_dim': ('radius a dimension, not compared', '{:.0%} lower'),
}


class Ballot(NamedTuple):
  """One vote as the page shows it."""

  split: str
  details: tuple[str, ...]


def draw_splits(theory: Theory) -> Figure:
  """Attack, radius share, entropy bound and information over the splits.

  One line per treatment; points are means over seeds, bars 95% intervals, and a ring is
  round the split that a panel's vote is for.
  """
  count = len(theory.splits)
  rows, columns = (2, 2) if count <= FEW else (4, 1)
  with mpl.rc_context(STYLE):
    size = (max(11.5, 0.36 * count), 4.3 * rows)
    figure = Figure(figsize=size, layout='constrained')
    figure.get_layout_engine().set(hspace=0.06)  # pyright: ignore[reportOptionalMemberAccess,reportCallIssue,reportAttributeAccessIssue] constrained, as asked for
    draws = zip(PANELS, figure.subplots(rows, columns).flat, strict=True)
    for draw, axes in draws:
      draw(axes, theory, Room(36 if count <= FEW else 90, IN_FIGURE.name))
    return figure


def draw_split_panels(theory: Theory) -> list[Figure]:
  """The panels of `draw_splits`, a figure each."""
  draws = [functools.partial(draw, theory=theory, room=IN_PANEL) for draw in PANELS]
  return draw_panels(draws, theory.splits)


def cast(vote: Vote | None) -> Ballot | None:
  """A vote in words; None where there was nothing to vote on."""
  if vote is None:
    return None
  details = []
  if vote.other:
    details.append(f'a range with {vote.other}')
  if not math.isnan(vote.size):
    details.append(VOTERS[vote.voter][1].format(vote.size))
  if vote.note:
    details.append(vote.note)
  if not math.isnan(vote.share):
    details.append(f'{vote.share:.0%} of resamples')
  return Ballot(vote.split or 'none', tuple(details))


def compare_shallow(theory: Theory) -> str:
  """Whether smoothing leaks more before the zone, as the paper says; '' if unknown."""
  smooth, one_hot = most_smoothed(theory.treatments), theory.one_hot
  errors = np.array([theory.profile(ATTACK, t).mean() for t in (smooth, one_hot)])
  vote = theory.votes_on(one_hot).by('attack')
  end, where = len(theory.splits), 'of all'
  if vote and vote.split:
    end, where = theory.splits.index(vote.split), f'before {vote.split}'
  both = np.flatnonzero(np.isfinite(errors[:, :end]).all(axis=0))
  if smooth == one_hot or not len(both):
    return ''
  lower = [theory.splits[i] for i in both if errors[0, i] < errors[1, i]]
  names = f' ({", ".join(lower)})' if lower else ''
  return (
    f'{smooth} is rebuilt with less error than {one_hot} at '
    f'{len(lower)} of the {len(both)} splits {where}{names}'
  )


def _draw_attack(axes: Axes, theory: Theory, room: Room) -> None:
  _draw_vote(axes, theory, ATTACK_SHOWN, 'attack', room)
  axes.set_title('Attack: error of the strongest')
  axes.set_ylabel('test MSE per element')
  if np.isfinite(
    [theory.profile(ATTACK_SHOWN, t).mean() for t in theory.treatments]
  ).any():
    axes.set_yscale('log')
  axes.legend(handles=legend_handles(theory.treatments), frameon=False, loc='best')


def _draw_share(axes: Axes, theory: Theory, room: Room) -> None:
  _draw_vote(axes, theory, 'radius_share', 'radius_share', room)
  axes.set_title('Radius: share of the variance within classes')
  axes.set_ylabel('$R_c^2$ / tr $S$')


def _draw_entropy(axes: Axes, theory: Theory, room: Room) -> None:
  _draw_vote(axes, theory, ENTROPY_VOTE, 'entropy', room)
  axes.set_title('Entropy: what the class takes off')
  axes.set_ylabel('difference of bounds / $D$, nats')


def _draw_vote(axes: Axes, theory: Theory, name: str, voter: str, room: Room) -> None:
  for i, (treatment, style) in enumerate(treatment_styles(theory.treatments).items()):
    profile = theory.profile(name, treatment)
    shift = _shift(i, len(theory.treatments))
    _draw_profile(axes, profile, shift, style)
    vote = theory.votes_on(treatment).by(voter)
    if vote and vote.split:
      place = theory.splits.index(vote.split)
      ring = {'marker': 'o', 'markersize': 15, 'markerfacecolor': 'none'}
      axes.plot([place + shift], profile.mean()[place], **style | ring)
  label_splits(axes, theory.splits, room)


def _draw_information(axes: Axes, theory: Theory, room: Room) -> None:
  for i, (treatment, style) in enumerate(treatment_styles(theory.treatments).items()):
    shift = _shift(i, len(theory.treatments))
    lower = _at_least_0(theory.profile(LOWER, treatment))
    _draw_profile(
      axes, theory.profile(UPPER, treatment), shift, style | {'marker': 'v'}
    )
    dashed = {'marker': '^', 'linestyle': '--'}
    _draw_profile(axes, lower, shift, style | dashed)
  axes.set_yscale('symlog', linthresh=1)
  axes.set_ylim(bottom=-0.1)
  axes.set_title('Information: between two bounds')
  axes.set_ylabel('$I(x; z + noise)$, nats')
  upper = Line2D([], [], color=MUTED, marker='v', label='at most: mixture')
  lower = Line2D([], [], color=MUTED, marker='^', label='at least: InfoNCE')
  lower.set_linestyle('--')
  axes.legend(handles=[upper, lower], frameon=False, loc='best')
  label_splits(axes, theory.splits, room)


PANELS = (_draw_attack, _draw_share, _draw_entropy, _draw_information)


def _at_least_0(profile: Profile) -> Profile:
  """What a lower bound on something that is never negative says."""
  value, low, high = (
    np.maximum(profile.values + reach, 0)
    for reach in (0, -profile.below, profile.above)
  )
  return Profile(profile.splits, profile.seeds, value, value - low, high - value)


def _draw_profile(axes: Axes, profile: Profile, shift: float, style: dict) -> None:
  mean = profile.mean()
  known = np.isfinite(mean)
  low, high = (np.where(np.isnan(end), mean, end) for end in interval(profile))
  reach = np.maximum([mean - low, high - mean], 0)[:, known]
  axes.errorbar(
    np.flatnonzero(known) + shift,
    mean[known],
    reach if reach.any() else None,
    markersize=6,
    linewidth=1.8,
    elinewidth=1.1,
    capsize=2.5,
    zorder=3,
    **style,
  )


def _shift(i: int, count: int) -> float:
  """How far the line at `i` of `count` is moved aside, so that bars stay apart."""
  return 0.06 * (i - (count - 1) / 2)
