"""Why rows of model inversion may mean nothing, as far as only their study can tell.

What a row itself tells stands in `tradeoff.doubts`.
"""

import numpy as np

from gpz_jax.attacks.model import Outcome
from gpz_jax.data import overlaps
from gpz_jax.evaluators import KES
from gpz_jax.types import Task, one_line


def of_public(task: Task) -> str:
  """Says how many private classes the public images may show; '' if none does."""
  shared = overlaps.list_shared_classes(task)
  if not shared:
    return ''
  name = one_line(shared[0]).replace(';', ',')  # it would part doubts
  return (
    f'{len(shared)} of {task.num_classes} private classes have the name of a public'
    f" class, such as '{name}'"
  )


def of_search(outcome: Outcome, lane: int) -> str:
  """Says in how many classes the search of a lane was led by no gradient; or ''.

  A target that rounds its images or answers gives none, and candidates stay where they
  began. Where a prior leads them too, only the target's own part is looked at.
  """
  history = outcome.history or {}
  name = 'target_gradient' if 'target_gradient' in history else 'gradient_mean'
  if name not in history:
    return ''  # an attack without gradients
  values = np.asarray(history[name][lane])  # [T, steps]
  leads = np.any(np.isfinite(values) & (values > 0), axis=1)
  if leads.all() or (name == 'gradient_mean' and not values.any()):  # the row says so
    return ''
  return (
    f'the target gave no gradient in {np.sum(~leads)} of {np.size(leads)} classes, so'
    ' the search did not follow it'
  )


def of_student(kes: KES, lane: int) -> str:
  """Says why a lane has no KES though it was asked for; '' where it has one."""
  is_asked = not np.isnan(kes.chance)
  if is_asked and np.isnan(kes.accuracy[lane]):
    return 'the student of its reconstructions diverged, so there is no KES'
  return ''
