"""NNX modules as linen ones, by flax's bridge, with children that can be split at.

The bridge keeps the parameters of an NNX module as linen does, but linen sees no calls
of its children. So each call of a child runs within a linen module that has the child's
name. Capturing and resuming then work as for any linen model.
"""

import contextlib
import contextvars
import dataclasses
import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
from flax import nnx

from gpz_jax.models import calls

Path = tuple[Any, ...]


def parameters(factory: Any) -> Mapping[str, inspect.Parameter] | None:
  """The parameters of a factory by name; None for a callable that tells none."""
  if isinstance(factory, type) and issubclass(factory, nnx.Module):
    found = dict(inspect.signature(factory.__init__).parameters)
    del found[next(iter(found))]  # self; the class itself tells nothing
    return found
  try:
    return inspect.signature(factory).parameters
  except (TypeError, ValueError):  # some built-in callables
    return None


def takes_rngs(factory: Any) -> bool:
  """Whether a factory takes `rngs`, as those of NNX modules do."""
  return 'rngs' in (parameters(factory) or {})


def bridge(factory: Callable[..., Any], options: Mapping[str, Any]) -> Any:
  """The linen module of an NNX module, or what else the factory makes.

  Args:
    factory: Takes `rngs`, an `nnx.Rngs`, and the options.
    options: Keywords of the factory.
  """
  make = _Factory(factory, tuple(sorted(options.items())))
  trial = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0)))
  if not isinstance(trial, nnx.Module):
    return trial
  is_random = bool(jax.tree.leaves(nnx.state(trial, nnx.RngState)))
  return Bridge(make, type(trial).__name__, is_random)


@dataclasses.dataclass(frozen=True)
class _Factory:
  """A factory with its options, which compares by value as linen's fields must."""

  make: Callable[..., Any]
  options: tuple[tuple[str, Any], ...]

  def __call__(self, *, rngs: nnx.Rngs) -> Any:
    if 'default' not in rngs:  # for streams of any other name
      rngs = nnx.Rngs(default=rngs.params(), **dict(rngs.items()))
    return self.make(rngs=rngs, **dict(self.options))


class Bridge(nn.Module):
  """An NNX module that is called as `module(images, train=...)`.

  Attributes:
    factory: Makes the module from `rngs`.
    kind: Name of the module's class.
    is_random: Whether the module keeps random streams, as dropout does.
  """

  factory: _Factory
  kind: str
  is_random: bool

  def __call__(self, images: jax.Array, *, train: bool = False) -> Any:
    """What the module returns for images [B, H, W, C]."""
    if self.is_random and not self.is_initializing():
      self.make_rng('default')  # without it, the bridge takes one that never changes
    inner = _Variables(self.factory, metadata_fn=None, parent=None)
    run = functools.partial(_run, train=train)
    return inner.clone(parent=self.scope)(images, nnx_method=run)


class _Variables(nnx.bridge.ToLinen):
  """Flax's bridge, with text for the positions of modules in lists.

  Checkpoints and the names of weights know no numbers among the keys of variables.
  """

  @property
  def variables(self) -> dict[str, Any]:
    """The variables of the scope, as the bridge takes them."""
    return _map_keys(
      lambda key: int(key) if key.isdecimal() else key, super().variables
    )

  def put_variable(self, collection: str, name: str, value: Any) -> None:
    """Writes what the bridge gives to the scope."""
    super().put_variable(collection, name, _map_keys(str, value))


def _map_keys(function: Callable[[Any], Any], tree: Any) -> Any:
  if not isinstance(tree, Mapping):
    return tree
  return {function(key): _map_keys(function, value) for key, value in tree.items()}


def _run(module: nnx.Module, images: jax.Array, *, train: bool) -> Any:
  """Calls an NNX module in training or evaluation, with its children observed."""
  if train:
    module.train()
  else:
    module.eval()
  before = _list_constants(module)
  with _observed(module):
    result = module(images, **calls.switches(type(module), train=train))
  for path, value in _list_constants(module).items():
    if path in before and value is not before[path]:
      raise ValueError(
        f'the variable {".".join(map(str, path))} is written or goes through a'
        ' transform, and the bridge keeps only nnx.Param and nnx.BatchStat then'
      )
  return result


def _list_constants(module: nnx.Module) -> dict[Path, Any]:
  """The arrays that nothing may change: of no parameters, statistics or random keys."""
  others = nnx.Not(nnx.Any(nnx.RngState, nnx.Param, nnx.BatchStat))
  state = nnx.to_flat_state(nnx.state(module, others))
  return {path: leaf.get_raw_value() for path, leaf in state}


_observers: contextvars.ContextVar = contextvars.ContextVar('observers')


class _Observer:
  """Runs the calls of the children of one module within linen modules."""

  def __init__(self, module: nnx.Module):
    children = [(path, child) for path, child in nnx.iter_modules(module) if path]
    self.children = [child for _, child in children]
    self.paths = {id(child): path for path, child in children}
    self.inside: list[tuple[Path, nn.Module | None]] = [((), None)]
    self.steps: dict[tuple[int, int], nn.Module] = {}

  def run(self, child: nnx.Module, kind: type, call: Callable[[], Any]) -> Any:
    """Calls a child within the linen module of its name."""
    path = self.paths[id(child)]
    above, parent = self.inside[-1]
    is_below = path[: len(above)] == above
    name = '_'.join(map(str, path[len(above) :] if is_below else path))
    # A child that is called twice is one linen module, as it would be there.
    key = (id(parent), id(child))
    if key not in self.steps:
      place = tuple(map(str, path))
      self.steps[key] = _step_class(kind.__name__)(place, name=name)
    step = self.steps[key]
    self.inside.append((path, step))
    try:
      return step(call)
    finally:
      self.inside.pop()


@contextlib.contextmanager
def _observed(module: nnx.Module) -> Iterator[None]:
  """Within, calls of the module's children run in linen modules of their names.

  What a transform such as `nnx.scan` or `nnx.remat` makes of a child is another object,
  which is simply called.
  """
  observer = _Observer(module)
  for child in observer.children:
    object.__setattr__(child, '__class__', _observed_class(type(child)))
  token = _observers.set(observer)
  try:
    yield
  finally:
    _observers.reset(token)


@functools.cache
def _observed_class(kind: type) -> type:
  """The class of a child whose calls are observed."""
  if '__call__' not in dir(kind) or getattr(kind, 'is_observed_by_gpz', False):
    return kind

  @functools.wraps(kind.__call__)
  def observe(self, *args, **kwargs):
    call = functools.partial(kind.__call__, self, *args, **kwargs)
    observer = _observers.get(None)
    if observer is None or id(self) not in observer.paths:
      return call()
    return observer.run(self, kind, call)

  body = {
    '__call__': observe,
    '__module__': kind.__module__,
    '__qualname__': kind.__qualname__,
    'is_observed_by_gpz': True,
  }
  pytree = {'pytree': getattr(kind, '_pytree__is_pytree', True)}
  return types.new_class(
    kind.__name__, (kind,), pytree, lambda space: space.update(body)
  )


class _Step(nn.Module):
  """A linen module in which a child is called.

  Attributes:
    place: Where the variables of the child lie among those of the NNX module.
  """

  place: Path

  @nn.compact
  def __call__(self, call: Callable[[], Any]) -> Any:
    return call()


def first_argument(module: nn.Module, args: tuple[Any, ...]) -> Any:
  """What a module is given first; what the child is given that is called within it.

  Args:
    module: A linen module.
    args: The arguments of its call, without the module.
  """
  if isinstance(module, _Step):
    args = args[0].args[1:]  # `observe` hands over a call of the child
  return args[0] if args else None


def find_place(module: nn.Module) -> tuple[str, ...]:
  """Where the variables of a module lie: its path, but for a child of an NNX module.

  Args:
    module: A linen module that is bound.
  """
  if not isinstance(module, _Step):
    return module.path
  above = module.parent
  while isinstance(above, _Step):
    above = above.parent
  return (*(above.path if isinstance(above, nn.Module) else ()), *module.place)


@functools.cache
def _step_class(name: str) -> type[_Step]:
  """A class of the name of the child's: costs and reports name modules by it."""
  return types.new_class(name, (_Step,))
