"""The options of a model as text: KEY=VALUE."""

from collections.abc import Sequence
from typing import Any

from gpz_jax.study import fields
from gpz_jax.types import literal_or_word


def parse_model_options(
  options: Sequence[str], field: str = 'model_options'
) -> dict[str, Any]:
  """('width=0.25', 'head=compact') -> {'width': 0.25, 'head': 'compact'}.

  Args:
    options: The entries.
    field: The field of the config that they are from.

  Raises:
    InputError: An entry is not KEY=VALUE, or its key is not the user's to set.
  """
  parsed = {}
  for option in options:
    key, equals, value = option.partition('=')
    if not (key and equals and value) or key in ('name', 'num_classes', 'parent'):
      fields.refuse(field, option, 'KEY=VALUE of the model, such as width=0.25')
    if key == 'skips':
      fields.refuse(field, option, f'--skips={value}')
    if key in parsed:
      fields.refuse(field, ','.join(options), f'{key} once')
    parsed[key] = literal_or_word(value)
  return parsed
