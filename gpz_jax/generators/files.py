"""A generator in one file, its architecture beside its variables.

A prior that was trained once can so be kept in a workdir and handed to other studies.
The file is safetensors, which runs no code. Its metadata holds the kind of generator,
its fields as JSON, and a checksum of the arrays. The critic that was trained beside it
may stand in the same file, and a checksum of the images that both were trained on.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import typing
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from gpz_jax import atomic
from gpz_jax.generators.dcgan import DCGAN
from gpz_jax.generators.discriminators import Critic
from gpz_jax.generators.protocol import Generator
from gpz_jax.generators.stylegan2 import StyleGAN2
from gpz_jax.types import InputError, check_known, first_line, hint

_FORMAT = 'gpz_jax.generator.1'
# The kinds that a file can hold: dataclasses of plain values with `init(key)`.
KINDS: dict[str, Any] = {'dcgan': DCGAN, 'stylegan2': StyleGAN2}
_CRITIC_FIELDS = ('size', 'width', 'outputs', 'spread')
_LEAST = 8  # side of a critic's images
_SEPARATOR = '/'
_CRITIC = 'critic/'  # what the names of a critic's arrays begin with


def save(
  path: str | os.PathLike,
  generator: Generator,
  variables: Mapping[str, Any],
  critic: tuple[Critic, Any] | None = None,
  *,
  trained_on: str = '',
) -> None:
  """Writes a generator and its variables, whole or not at all.

  Args:
    path: The file; its folder must exist.
    generator: One of the kinds that are known here.
    variables: Its variables.
    critic: What was trained beside it and its variables, for attacks that ask it.
    trained_on: A checksum of the images that it was trained on; '' if nobody knows.

  Raises:
    InputError: The kind is not known, or the variables are not the generator's or the
      critic's.
  """
  names = {kind: name for name, kind in KINDS.items()}
  name = names.get(type(generator))
  if name is None:
    raise InputError(
      f'{type(generator).__name__} cannot be kept in a file; the kinds that can are'
      f' {", ".join(KINDS)}'
    )
  path = pathlib.Path(path)
  if not path.parent.is_dir():
    raise InputError(f"generator '{path}': there is no folder '{path.parent}'; make it")
  arrays = _flatten(jax.device_get(variables))
  fields = {f.name: getattr(generator, f.name) for f in dataclasses.fields(generator)}
  metadata = {
    'format': _FORMAT,
    'kind': name,
    'fields': json.dumps(fields, sort_keys=True),
  }
  if critic is not None:
    own = _flatten(jax.device_get(critic[1]))
    arrays |= {f'{_CRITIC}{key}': np.asarray(leaf) for key, leaf in own.items()}
    fields = {name: getattr(critic[0], name) for name in _CRITIC_FIELDS}
    metadata['critic'] = json.dumps(fields, sort_keys=True)
  if trained_on:
    metadata['trained_on'] = trained_on
  _check_arrays(path, generator, critic and critic[0], arrays)
  metadata['checksum'] = _checksum(arrays)
  with atomic.replacing(path) as partial:
    safetensors.numpy.save_file(arrays, partial, metadata)


def load(path: str | os.PathLike) -> tuple[Generator, dict[str, Any]]:
  """Reads what `save` wrote.

  Args:
    path: The file.

  Returns:
    The generator and its variables.

  Raises:
    InputError: There is no such file, it is damaged, it was not written by `save`, or
      its arrays are not those of its generator.
  """
  generator, _, arrays = _read(pathlib.Path(path))
  own = {key: leaf for key, leaf in arrays.items() if not key.startswith(_CRITIC)}
  return generator, traverse_util.unflatten_dict(own, sep=_SEPARATOR)


def load_critic(path: str | os.PathLike) -> tuple[Critic, dict[str, Any]] | None:
  """Reads the critic of a file that `save` wrote, and its variables.

  Args:
    path: The file.

  Returns:
    The critic and its variables; None if the file holds none.

  Raises:
    InputError: As of `load`.
  """
  _, critic, arrays = _read(pathlib.Path(path))
  if critic is None:
    return None
  return critic, traverse_util.unflatten_dict(arrays, sep=_SEPARATOR)['critic']


def read_trained_on(path: str | os.PathLike) -> str:
  """The checksum of the images that a file's generator was trained on.

  '' where the file does not say, as those of earlier versions, or cannot be read.
  """
  try:
    with safetensors.safe_open(pathlib.Path(path), 'numpy') as file:
      return (file.metadata() or {}).get('trained_on', '')
  except Exception:  # `load` says what is wrong with it
    return ''


def _read(path: pathlib.Path) -> tuple[Generator, Critic | None, dict[str, Any]]:
  """The generator, the critic and all arrays of a file, checked."""
  if not path.is_file():
    raise InputError(f"generator '{path}': no such file; give the path of one")
  try:
    with safetensors.safe_open(path, 'numpy') as file:
      metadata = file.metadata() or {}
      generator = _generator(path, metadata)
      critic = _critic(path, metadata, generator)
      arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
  except InputError:
    raise
  except Exception as error:  # a damaged file fails in many ways
    raise InputError(
      f"generator '{path}' cannot be read ({first_line(error)[:200]}); give a file that"
      ' generators.files.save wrote'
    ) from None
  _check_arrays(path, generator, critic, arrays)
  if _checksum(arrays) != metadata.get('checksum'):
    raise InputError(
      f"generator '{path}' is damaged: its checksum differs; copy or train it again"
    )
  return generator, critic, arrays


def is_ours(path: str | os.PathLike) -> bool:
  """Whether a file was written by `save`, as far as its first bytes tell."""
  try:
    with safetensors.safe_open(pathlib.Path(path), 'numpy') as file:
      return (file.metadata() or {}).get('format') == _FORMAT
  except Exception:  # whatever is no safetensors file
    return False


def _generator(path: pathlib.Path, metadata: Mapping[str, str]) -> Generator:
  """The generator that the metadata describe."""
  if metadata.get('format') != _FORMAT:
    raise InputError(
      f"generator '{path}' is no file of a generator: its format is"
      f" '{metadata.get('format', 'unnamed')[:60]}' and not '{_FORMAT}'; give one that"
      ' generators.files.save wrote'
    )
  kind = metadata.get('kind', '')
  check_known(f"generator '{path}': its kind", kind[:60], KINDS)
  cls = KINDS[kind]
  known = tuple(field.name for field in dataclasses.fields(cls))
  return cls(**_fields(path, cls, known, metadata.get('fields', '')))


def _critic(
  path: pathlib.Path, metadata: Mapping[str, str], generator: Generator
) -> Critic | None:
  """The critic that the metadata describe; None if they describe none."""
  if 'critic' not in metadata:
    return None
  fields = _fields(path, Critic, _CRITIC_FIELDS, metadata['critic'])
  critic, sides = Critic(**fields), generator.image_shape[:2]
  least = min(critic.width, critic.outputs)
  if (critic.size, critic.size) != sides or critic.size < _LEAST or least < 1:
    raise InputError(
      f"generator '{path}': its critic {str(fields)[:200]} does not judge images of"
      f' {sides[0]}x{sides[1]}; copy or train it again'
    )
  return critic


def _fields(
  path: pathlib.Path, cls: type, known: tuple[str, ...], text: str
) -> dict[str, Any]:
  """The fields of a class from JSON, checked for names and types."""
  fields = json.loads(text)
  types = typing.get_type_hints(cls)
  if not isinstance(fields, dict):
    raise InputError(f"generator '{path}': its fields must be a JSON object")
  for name, value in fields.items():
    if name not in known:
      raise InputError(
        f"generator '{path}': {cls.__name__} has no field '{name[:60]}'"
        f'{hint(name, known)}'
      )
    if not _fits(value, types[name]):
      raise InputError(
        f"generator '{path}': {name} of {cls.__name__} cannot be {value!r:.60}"
      )
  return fields


def _fits(value: Any, annotation: Any) -> bool:
  """Whether a JSON value is of a field's type; True and False are no numbers."""
  kinds = typing.get_args(annotation) or (annotation,)
  return type(value) in kinds or (type(value) is int and float in kinds)


def _check_arrays(
  path: pathlib.Path,
  generator: Generator,
  critic: Critic | None,
  arrays: Mapping[str, np.ndarray],
) -> None:
  """Refuses names, shapes and dtypes that are not those of generator and critic."""
  init = getattr(generator, 'init')  # noqa: B009 not part of the protocol
  shapes = _flatten(jax.eval_shape(init, jax.random.key(0)))
  if critic is not None:
    blank = jnp.zeros((1, critic.size, critic.size, generator.image_shape[-1]))
    like = jax.eval_shape(critic.init, jax.random.key(0), blank)
    if critic.spread:
      like['statistics'] = {'spread': jax.ShapeDtypeStruct((), jnp.float32)}
    shapes |= {f'{_CRITIC}{name}': leaf for name, leaf in _flatten(like).items()}
  expected = {name: (leaf.shape, leaf.dtype) for name, leaf in shapes.items()}
  found = {name: (leaf.shape, leaf.dtype) for name, leaf in arrays.items()}
  for name in [*expected, *found]:
    has, needs = (
      f'{pair[1]} {list(pair[0])}' if pair else 'absent'
      for pair in (found.get(name), expected.get(name))
    )
    if has != needs:
      raise InputError(
        f"generator '{path}': {name[:80]} is {has} and should be {needs} for"
        f' {str(generator)[:200]}; give the variables of this generator'
      )


def _flatten(variables: Any) -> dict[str, Any]:
  """Path -> leaf."""
  return traverse_util.flatten_dict(variables, sep=_SEPARATOR)


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
  """A checksum of all names and bytes."""
  digest = hashlib.blake2b(digest_size=16)
  for name in sorted(arrays):
    digest.update(name.encode())
    digest.update(np.ascontiguousarray(arrays[name]).view(np.uint8).data)
  return digest.hexdigest()
