"""Orbax behind one thin module: stacked pytrees with the plain values beside them.

Every array and the plain values carry a checksum that is verified when they are read:
a flipped byte in an array file would otherwise come back as a wrong number. What is
damaged is named, and the step before it is used instead.
"""

import hashlib
import json
import logging
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from gpz_jax.types import first_line

Tree = Any
Say = Callable[[str], None]
KEPT = 2  # steps
# Orbax reads the metadata of every step before one can be chosen. Damage there raises
# any of these.
UNOPENABLE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
_warn = logging.getLogger(__name__).warning


class DamagedError(Exception):
  """A checkpoint cannot be read or is not what was written; says what is wrong."""


def save(
  folder: pathlib.Path, tree: Tree, meta: dict[str, Any], *, step: int = 0
) -> None:
  """Writes a checkpoint and returns when it is on disk.

  Args:
    folder: Folder of the checkpoint; it is made if absent. The two latest steps are
      kept.
    tree: A pytree of arrays.
    meta: JSON values that say what the arrays are.
    step: Number of the checkpoint. Checkpoints of this number or a higher one are
      removed first: they belong to a training that went on from an earlier step.
  """
  arrays = jax.device_get(tree)
  plain = {'meta': meta, 'checksums': checksums(arrays)}
  with _manager_to_write(folder) as manager:
    for later in [other for other in manager.all_steps() if other >= step]:
      manager.delete(later)
    arguments = ocp.args.Composite(
      state=ocp.args.StandardSave(arrays),
      meta=ocp.args.JsonSave(plain | {'checksum': _digest_json(plain)}),
    )
    manager.save(step, args=arguments, force=True)


def restore(
  folder: pathlib.Path,
  like: Tree,
  *,
  say: Say = _warn,
) -> tuple[Tree, dict[str, Any]] | None:
  """The arrays and plain values of the latest step that is intact.

  Args:
    folder: The folder given to `save`.
    like: A pytree of arrays or shapes with the same structure.
    say: Receives a line about every step that is damaged.

  Returns:
    None where there is no intact step.
  """
  return _latest_intact(folder, lambda manager, step: _read(manager, step, like), say)


def read_meta(folder: pathlib.Path) -> dict[str, Any] | None:
  """The plain values of the latest step where they are intact, None without one."""
  return _latest_intact(
    folder, lambda manager, step: _read_plain(manager, step)['meta'], lambda text: None
  )


def read_checksums(folder: pathlib.Path) -> dict[str, str] | None:
  """The checksums of the latest step's arrays, by path; None without an intact one."""
  return _latest_intact(
    folder,
    lambda manager, step: _read_plain(manager, step)['checksums'],
    lambda text: None,
  )


def has_step(folder: pathlib.Path) -> bool:
  """Whether a step was ever finished there, even if it is damaged by now."""
  return folder.is_dir() and any(path.name.isdecimal() for path in folder.iterdir())


def find_damage(folder: pathlib.Path) -> list[str]:
  """What is wrong with any step of a checkpoint, one line each."""
  found, intact = [], 0
  if folder.is_dir():
    with _manager(folder) as manager:
      for step in sorted(manager.all_steps()):
        try:
          _read(manager, step, None)
          intact += 1
        except DamagedError as error:
          found.append(_describe(folder, step, error))
  if not intact:
    found.append(f'checkpoint {folder.name} has no intact step')
  return found


def checksums(tree: Tree) -> dict[str, str]:
  """A checksum of each leaf's bytes, shape and dtype, by its path."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): _digest(leaf)
    for path, leaf in leaves
  }


def digest(tree: Tree) -> str:
  """One checksum of all leaves of a tree."""
  return _digest_json(checksums(tree))


def _digest(leaf: Any) -> str:
  array = np.asarray(leaf)
  digest = hashlib.blake2b(f'{array.dtype}{array.shape}'.encode(), digest_size=16)
  digest.update(
    np.ascontiguousarray(array).view(np.uint8).data
  )  # bfloat16 has no .data
  return digest.hexdigest()


def _digest_json(value: Any) -> str:
  text = json.dumps(value, sort_keys=True)
  return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _latest_intact(folder: pathlib.Path, read: Callable[..., Any], say: Say) -> Any:
  """What `read(manager, step)` gives for the latest step it can be read from."""
  if not folder.is_dir():
    return None
  try:
    opened = _manager(folder)
  except UNOPENABLE as error:
    say(f'checkpoint {folder.name} cannot be opened: {type(error).__name__}')
    return None
  with opened as manager:
    for step in sorted(manager.all_steps(), reverse=True):
      try:
        return read(manager, step)
      except DamagedError as error:
        say(_describe(folder, step, error))
  return None


def _describe(folder: pathlib.Path, step: int, error: DamagedError) -> str:
  return f'checkpoint {folder.name}, step {step} is damaged: {error}'


def _read(
  manager: ocp.CheckpointManager, step: int, like: Tree | None
) -> tuple[Tree, dict[str, Any]]:
  plain = _read_plain(manager, step)
  state = _attempt(
    manager, step, ocp.args.Composite(state=ocp.args.StandardRestore(like))
  )['state']
  expected, found = plain['checksums'], checksums(jax.device_get(state))
  for name in sorted(expected.keys() | found.keys()):
    if expected.get(name) != found.get(name):
      raise DamagedError(f'checksum of {name} differs')
  if like is not None:
    _check_shapes(state, like)
  return state, plain['meta']


def _check_shapes(state: Tree, like: Tree) -> None:
  """Refuses arrays of other shapes, which Orbax restores without a word."""
  found, _ = jax.tree_util.tree_flatten_with_path(state)
  for (path, leaf), wanted in zip(found, jax.tree.leaves(like), strict=True):
    if np.shape(leaf) != np.shape(wanted):
      name = jax.tree_util.keystr(path, simple=True, separator='/')
      raise DamagedError(
        f'{name} has the shape {np.shape(leaf)}, expected {np.shape(wanted)}'
      )


def _read_plain(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
  arguments = ocp.args.Composite(meta=ocp.args.JsonRestore())
  plain = _attempt(manager, step, arguments)['meta']
  try:
    checksum = plain.pop('checksum')
  except (AttributeError, KeyError, TypeError):
    raise DamagedError('its plain values hold no checksum') from None
  if checksum != _digest_json(plain):
    raise DamagedError('checksum of its plain values differs')
  return plain


def _attempt(manager: ocp.CheckpointManager, step: int, arguments: Any) -> Any:
  try:
    return manager.restore(step, args=arguments)
  except Exception as error:  # Orbax and TensorStore raise whatever a byte leads to
    raise DamagedError(first_line(error)[:200]) from error


def _manager_to_write(folder: pathlib.Path) -> ocp.CheckpointManager:
  """A manager; a folder whose contents cannot even be listed is emptied first."""
  try:
    return _manager(folder)
  except UNOPENABLE:
    shutil.rmtree(folder)
    return _manager(folder)


def _manager(folder: pathlib.Path) -> ocp.CheckpointManager:
  options = ocp.CheckpointManagerOptions(
    enable_async_checkpointing=False,
    preservation_policy=ocp.checkpoint_managers.LatestN(KEPT),
  )
  return ocp.CheckpointManager(folder.absolute(), options=options)
