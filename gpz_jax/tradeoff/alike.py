"""Whether rows of model inversion were made and judged alike, so that they compare."""

import math
from collections.abc import Iterable, Sequence

from gpz_jax.results import Row
from gpz_jax.zone.accuracies import SAME_ACCURACY

# Names do not tell evaluators or generators apart that were trained to another end.
JUDGED = ('public_dataset', 'evaluator', 'evaluator_accuracy')
PRIOR = ('generator', 'generator_fid')
ALIKE = ('model', 'dataset', *JUDGED, *PRIOR)  # of runs that are compared
_TOLERANCES = {
  'target_accuracy': {'abs_tol': SAME_ACCURACY},
  'evaluator_accuracy': {'abs_tol': SAME_ACCURACY},
  'generator_fid': {'rel_tol': 0.1},
  'att_acc1': {'abs_tol': 0.05},
  'test_mse': {'rel_tol': 0.05},
}


def tell_difference(rows: Sequence[Row], columns: Iterable[str]) -> str:
  """The first column in which rows differ, as 'evaluator: vgg11 and vgg16'; or ''.

  Numbers that are not known differ from none.

  Args:
    rows: Rows of one schema.
    columns: What must be the same of them.
  """
  for column in columns:
    values = [row[column] for row in rows]
    if column in _TOLERANCES:
      known = [value for value in values if math.isfinite(value)]
      ends = [min(known), max(known)] if known else [0.0, 0.0]
      if not math.isclose(*ends, **_TOLERANCES[column]):
        return f'{column}: {" and ".join(f"{end:.3g}" for end in ends)}'
    elif len(set(values)) > 1:
      return f'{column}: {" and ".join(sorted(map(str, set(values))))}'
  return ''
