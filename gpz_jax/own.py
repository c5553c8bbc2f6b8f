"""Programs of the user's own, named as package.module:factory.

This is the only place that imports what a flag names.
"""

import importlib
import importlib.machinery
import importlib.util
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


def suggest(name: str) -> str:
  """`; did you mean 'a.b:c'?` for 'a.b.c' if there is a module a.b; nothing otherwise.

  Nothing is imported, not even the packages that the module is in.
  """
  module_name, _, attribute = name.rpartition('.')
  if not attribute.isidentifier() or not _is_module(module_name):
    return ''
  return f"; did you mean '{module_name}:{attribute}'?"


def _is_module(name: str) -> bool:
  """Whether a module of this name could be imported, without importing its parents."""
  first, *rest = name.split('.')
  try:
    found, path = importlib.util.find_spec(first), first
    for part in rest:
      if found is None or found.submodule_search_locations is None:
        return False
      places, path = list(found.submodule_search_locations), f'{path}.{part}'
      found = importlib.machinery.PathFinder.find_spec(path, places)
  except (ImportError, ValueError, KeyError, OSError):  # no name of a module, or broken
    return False
  return found is not None
