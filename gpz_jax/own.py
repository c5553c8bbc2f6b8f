"""Programs of the user's own, named as package.module:factory.

This is the only place that imports what a flag names.
"""

import importlib
from typing import Any

from gpz_jax.types import InputError, first_line


def load(what: str, name: str) -> Any:
  """The factory that a name stands for.

  Args:
    what: What it makes, put at the start of an error, such as "model 'a.b:C'".
    name: 'package.module:factory'.

  Raises:
    InputError: It cannot be imported, for whatever reason.
  """
  module_name, _, attribute = name.partition(':')
  try:
    return getattr(importlib.import_module(module_name), attribute)
  except (Exception, SystemExit) as error:  # whatever the foreign module does
    raise InputError(
      f'{what} cannot be imported ({first_line(error)}); give package.module:factory,'
      ' with the package on PYTHONPATH'
    ) from error
