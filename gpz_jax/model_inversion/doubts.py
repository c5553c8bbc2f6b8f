"""Why rows of model inversion may mean nothing, as far as only their study can tell.

What a row itself tells stands in `tradeoff.doubts`.
"""

from gpz_jax.data import overlaps
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
