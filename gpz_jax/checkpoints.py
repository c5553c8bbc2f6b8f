"""Orbax behind one thin module: stacked pytrees with the plain values beside them."""

import pathlib
from typing import Any

import orbax.checkpoint as ocp

Tree = Any


def save(
  folder: pathlib.Path, tree: Tree, meta: dict[str, Any], *, step: int = 0
) -> None:
  """Writes a checkpoint and returns when it is on disk.

  Args:
    folder: of the checkpoint; made if absent.
    tree: arrays.
    meta: JSON values that say what the arrays are.
    step: number of the checkpoint; one that is there already is replaced.
  """
  with _manager(folder) as manager:
    if step in manager.all_steps():
      manager.delete(step)
    arguments = ocp.args.Composite(
      state=ocp.args.StandardSave(tree), meta=ocp.args.JsonSave(meta)
    )
    manager.save(step, args=arguments)


def read_meta(folder: pathlib.Path) -> dict[str, Any] | None:
  """The plain values of the latest checkpoint, or None where there is none."""
  if not folder.is_dir():
    return None
  with _manager(folder) as manager:
    step = manager.latest_step()
    if step is None:
      return None
    arguments = ocp.args.Composite(meta=ocp.args.JsonRestore())
    return manager.restore(step, args=arguments)['meta']


def restore(folder: pathlib.Path, like: Tree) -> Tree:
  """The arrays of the latest checkpoint.

  Args:
    folder: given to `save`.
    like: a pytree of arrays or shapes with the same structure.
  """
  with _manager(folder) as manager:
    arguments = ocp.args.Composite(state=ocp.args.StandardRestore(like))
    return manager.restore(manager.latest_step(), args=arguments)['state']


def _manager(folder: pathlib.Path) -> ocp.CheckpointManager:
  options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
  return ocp.CheckpointManager(folder.absolute(), options=options)
