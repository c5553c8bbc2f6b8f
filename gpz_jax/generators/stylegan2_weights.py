"""Published weights of StyleGAN2: read without running code, checked name by name.

    generator, variables = stylegan2_weights.load('ffhq.safetensors', psi=0.5, cutoff=8)

`stylegan2_formats` says which names are expected. Weights do not tell `conv_clamp`, nor
how an attack uses the generator; those are options.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gpz_jax.generators.stylegan2 import StyleGAN2
from gpz_jax.generators.stylegan2_formats import FORMATS, Format, resample_filter
from gpz_jax.interop.arrays import load_arrays
from gpz_jax.interop.misfits import find_problems
from gpz_jax.types import InputError, check_known

_CONDITIONED = ('mapping.embed.', 'mapping_network/label_embedding/')


def load(path: str | pathlib.Path, **options: Any) -> tuple[StyleGAN2, dict[str, Any]]:
  """A generator and its variables from a file.

  Args:
    path: As for `interop.arrays.load_arrays`, with the names of one of `FORMATS`.
    **options: Fields of `StyleGAN2`; what names and shapes tell need not be given.

  Returns:
    The generator, and its variables in float32.

  Raises:
    InputError: The file cannot be read or is a pickle; an option is not known; or
      arrays are missing, unexpected or of the wrong shape.
  """
  for name in options:
    check_known('option', name, [f.name for f in dataclasses.fields(StyleGAN2)])
  arrays = load_arrays(path)
  generator = StyleGAN2(**{**infer(arrays), **options})
  return generator, import_weights(generator, arrays)


def infer(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """The fields of `StyleGAN2` that names and shapes tell.

  Args:
    arrays: Name -> array in its own layout, as `load_arrays` gives them.

  Raises:
    InputError: They are no StyleGAN2, or one that is conditioned on a label.
  """
  form, arrays = _recognize(arrays)
  try:
    return form.fields(arrays)
  except (KeyError, ValueError, IndexError) as error:
    raise InputError(
      f'weights are no whole StyleGAN2 in the layout of {form.name}'
      f' ({type(error).__name__}: {str(error)[:120]}); give the state dict of G_ema'
    ) from None


def import_weights(
  generator: StyleGAN2, arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
  """The variables of a generator from arrays in one of the published layouts.

  Args:
    generator: What the arrays must fit.
    arrays: Name -> array in its own layout. A prefix that all names share is ignored.

  Returns:
    {'params', 'constants'} as `StyleGAN2.init` gives them, in float32.

  Raises:
    InputError: Names are missing or unexpected; or arrays have the wrong shape or no
      finite numbers, or filters are others than StyleGAN2's.
  """
  form, arrays = _recognize(arrays)
  filters = {name for name in form.filters(generator) if name in arrays}
  table = list(form.table(generator))
  wanted = {name: array for name, array in arrays.items() if name not in filters}
  problems = find_problems(table, _shapes(generator), wanted)
  expected = resample_filter()
  if other := [name for name in filters if not _is_near(arrays[name], expected)]:
    problems.append(f'{len(other)} filters are not [1, 3, 3, 1] ({min(other)[:120]})')
  if problems:
    raise InputError(
      f'weights do not fit a StyleGAN2 of {generator.resolution} pixels, named as by'
      f' {form.name}: ' + '; '.join(problems)
    )
  flat = {}
  for theirs, ours, layout in table:
    array = layout.to_linen(np.asarray(arrays[theirs], np.float32), ())
    flat[ours] = jnp.asarray(array + _offset(form, ours))
  return traverse_util.unflatten_dict(flat, sep='/')


def export_weights(
  generator: StyleGAN2, variables: Any, layout: str = 'nvidia'
) -> dict[str, np.ndarray]:
  """The inverse of `import_weights`.

  Args:
    generator: The generator.
    variables: Its variables.
    layout: A name of `FORMATS`.

  Returns:
    Name -> array in that layout, in float32. The state dict of `nvidia` has all that
    the published one has, its constant filters too.

  Raises:
    InputError: The layout is not known.
  """
  check_known('layout', layout, FORMATS)
  form = FORMATS[layout]
  flat = traverse_util.flatten_dict(variables, sep='/')
  arrays = {}
  for theirs, ours, entry_layout in form.table(generator):
    array = np.asarray(flat[ours], np.float32) - np.float32(_offset(form, ours))
    arrays[theirs] = entry_layout.to_torch(array)
  if form.name == 'nvidia':
    arrays |= {name: resample_filter() for name in form.filters(generator)}
  return arrays


def _offset(form: Format, ours: str) -> float:
  return form.affine_bias if ours.endswith('/affine/bias') else 0.0


def _is_near(array: np.ndarray, expected: np.ndarray) -> bool:
  if array.shape != expected.shape or array.dtype.kind != 'f':
    return False
  return bool(np.allclose(array, expected, atol=1e-4))


def _recognize(
  arrays: Mapping[str, np.ndarray],
) -> tuple[Format, dict[str, np.ndarray]]:
  """The format that names are of, and the arrays without a prefix of all names."""
  for form in FORMATS.values():
    prefixes = {
      name.removesuffix(form.const) for name in arrays if name.endswith(form.const)
    }
    prefix = prefixes.pop() if len(prefixes) == 1 else ''
    plain = {name.removeprefix(prefix): array for name, array in arrays.items()}
    if form.const not in plain:
      continue
    if any(name.startswith(_CONDITIONED) for name in plain):
      raise InputError(
        'weights are of a StyleGAN2 that is conditioned on a label, which is not'
        ' supported; give those of one that is not'
      )
    return form, plain
  known = ' nor '.join(f"'{form.const}'" for form in FORMATS.values())
  raise InputError(
    f'weights hold neither {known}; give a StyleGAN2 as NVIDIA (G_ema.state_dict()) or'
    ' flaxmodels names it'
  )


def _shapes(generator: StyleGAN2) -> dict[str, tuple[int, ...]]:
  """Our name -> shape of every variable."""
  variables = jax.eval_shape(generator.init, jax.random.key(0))
  flat: dict[str, Any] = traverse_util.flatten_dict(variables, sep='/')
  return {name: leaf.shape for name, leaf in flat.items()}
