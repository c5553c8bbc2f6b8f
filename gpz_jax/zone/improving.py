"""Attacks beside the strongest one that were still improving.

With more epochs, one of them might become the strongest.

Source: docs/paper.md#doubts; the rule is ours.
"""

from collections.abc import Callable, Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.types import Treatment
from gpz_jax.zone import doubts
from gpz_jax.zone.doubts import Doubt
from gpz_jax.zone.rows import cell_scores, plain


def doubt_cut(
  rows: Sequence[Row],
  treatment: Treatment,
  split: str,
  contradicts: Callable[[float, float], bool],
  *,
  asks_brief: bool = True,
) -> tuple[Doubt, ...]:
  """Whether an attack at a cut might contradict what is said of it with more epochs.

  An attack scored on fewer images than others is left to `fewer_images`.

  Args:
    rows: Rows of all attacks.
    treatment: The treatment of the targets.
    split: Where they are cut.
    contradicts: Whether it does, by the MSE and the SSIM of the cut. The MSE is what as
      many epochs again would leave; nobody can tell of the SSIM.
    asks_brief: Whether an attack of one epoch counts, which may become anything.
  """
  cell = [
    row for row in results.of_cell(rows, treatment, split) if row['status'] == 'done'
  ]
  for attack in results.list_attacks(cell):
    own = [row for row in cell if row['attack'] == attack]
    falls = results.seed_mean(own, 'loss_fall', treatment=treatment, split=split)
    is_brief = asks_brief and all(map(doubts.is_too_brief, own))
    if not (is_brief or doubts.is_falling(falls)):
      continue
    left = 0.0 if is_brief else doubts.foresee(1.0, falls)
    changed = [row | {'test_mse': row['test_mse'] * left} for row in own]
    if contradicts(*cell_scores([*cell, *changed])):
      name = f'attack {plain(attack)}'
      if is_brief:
        return (doubts.tell_brief(split, name),)
      return (doubts.tell_falling(split, falls, name),)
  return ()
