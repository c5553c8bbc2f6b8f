"""Studies of skip connections with chosen numbers, and the paper's table."""

import pathlib

from made_up_inversions import make_classes, make_inversion

from gpz_jax.tradeoff.published import StudyRows

PAPER = pathlib.Path(__file__).parents[1] / 'experiments' / 'paper' / 'skips.toml'
EVEN = (0.0,) * 6


def study(values, *, seeds=(0, 1, 2), spread=EVEN, jitter=0.004, **changes):
  """Rows of skips -> (accuracy, AttAcc@1), whose seeds differ by `jitter`."""
  rows = [
    make_inversion(
      accuracy,
      att_acc + jitter * (seed - 1),
      seed=seed,
      name='resnet18',
      skips=skips,
      model_options='width=0.25',
      **changes,
    )
    for skips, (accuracy, att_acc) in values.items()
    for seed in seeds
  ]
  return StudyRows(rows, make_classes(rows, spread))
