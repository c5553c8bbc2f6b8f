"""Stanford Dogs from its published archives: 20,580 images of 120 breeds.

Khosla et al. 2011 (CVPR workshop on fine-grained categorisation).
"""

import io
import os
import pathlib
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from gpz_jax import types
from gpz_jax.data.builders import archives

Examples = Iterator[tuple[Any, dict[str, Any]]]  # key and example
_DAMAGE = (KeyError, IndexError, ValueError, TypeError, AttributeError)


def read(builder, config: str, folder: pathlib.Path) -> dict[str, Examples]:
  """The examples of the official subsets, from the three published archives.

  Args:
    builder: The builder of TFDS, which makes examples of files.
    config: Not used.
    folder: Where the archives are.

  Raises:
    InputError: An archive is damaged, or they do not belong together.
  """
  del config
  lists = dict(archives.read_tar(folder / 'lists.tar'))
  notes = {
    os.path.basename(name): _parse_xml(folder, name, data)
    for name, data in archives.read_tar(folder / 'annotation.tar')
  }
  listed = {
    subset: _read_list(folder / 'lists.tar', lists, f'{subset}_list.mat')
    for subset in ('train', 'test')
  }
  breeds = sorted({os.path.dirname(name).lower() for name in listed['train']})
  label = builder.info.features['label']
  if len(breeds) != label.num_classes:
    raise types.InputError(
      f'{folder / "lists.tar"} names {len(breeds)} breeds where {label.num_classes}'
      ' should be; fetch it again'
    )
  label.names = breeds
  return {
    subset: _dog_examples(
      builder, folder, {os.path.basename(name) for name in names}, notes
    )
    for subset, names in listed.items()
  }


def _read_list(path: pathlib.Path, lists: dict[str, bytes], member: str) -> list[str]:
  """The images <class>/<file> of one of the lists of Stanford Dogs."""
  import scipy.io  # late, because --help must not wait for it

  try:
    found = scipy.io.loadmat(io.BytesIO(lists[member]), squeeze_me=True)
    return [str(name) for name in found['file_list']]
  except Exception as error:  # whatever SciPy's reader raises
    raise types.InputError(
      f'{path} has no whole list {member} ({error!r}); fetch it again'
    ) from error


def _parse_xml(folder: pathlib.Path, name: str, data: bytes) -> ElementTree.Element:
  try:
    return ElementTree.fromstring(data)
  except ElementTree.ParseError as error:
    raise types.InputError(
      f'{folder / "annotation.tar"}: {name} is broken ({error}); fetch it again'
    ) from error


def _dog_examples(builder, folder: pathlib.Path, names: set[str], notes) -> Examples:
  archive = (
    (n, io.BytesIO(data)) for n, data in archives.read_tar(folder / 'images.tar')
  )
  count = 0
  try:
    for key, example in builder._generate_examples(archive, names, notes):
      count += 1
      yield key, example
  except types.InputError:
    raise
  except _DAMAGE as error:
    raise types.InputError(
      f'the archives of Stanford Dogs in {folder} do not fit together ({error!r});'
      ' fetch them again'
    ) from error
  if count != len(names):
    raise types.InputError(
      f'{folder / "images.tar"} has {count} of the {len(names)} images of a list; fetch'
      ' it again'
    )
