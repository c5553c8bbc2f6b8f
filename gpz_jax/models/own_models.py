"""Models of the user's own: made by name, and called as the built-in ones are.

All else calls `model(images, train=...)` and gets logits. This is the only place that
knows that a user's module may be told otherwise whether it trains, and may return more.
"""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
from flax import nnx

from gpz_jax import own
from gpz_jax.models import calls, nnx_models
from gpz_jax.models import options as options_lib
from gpz_jax.types import InputError, did_you_mean

_SHOWN = 10  # keys of an output that a message names


def make(
  name: str, num_classes: int, options: Mapping[str, Any], output: str | None = None
) -> nn.Module:
  """The model that 'package.module:factory' makes, called as `adapt` says.

  Args:
    name: 'package.module:factory'.
    num_classes: K, a keyword of every factory.
    options: The other keywords; those annotated as `bool` may be words.
    output: Which of its outputs are the logits, see `adapt`.

  Raises:
    InputError: The factory cannot be imported or called, or gives no module of flax;
      or a switch is neither true nor false.
  """
  factory = own.load(f"model '{name}'", name)
  _check_signature(name, factory, num_classes)
  parameters = nnx_models.parameters(factory) or {}
  options = options_lib.read_switches(name, parameters, options)
  keywords = {**options, 'num_classes': num_classes}
  is_nnx = nnx_models.takes_rngs(factory)
  try:
    model = nnx_models.bridge(factory, keywords) if is_nnx else factory(**keywords)
  except Exception as error:
    raise InputError(
      f"model '{name}' cannot be made with num_classes={num_classes} and options"
      f' {dict(options)}: {error}'
    ) from error
  if isinstance(model, nnx.Module):
    raise InputError(
      f"model '{name}' gives an NNX module with weights of its own; let the factory"
      f' take rngs, as in {_spell(name)}(num_classes, *, rngs), so that each seed draws'
      ' its weights'
    )
  if not isinstance(model, nn.Module):  # said with its name
    raise InputError(
      f"model '{name}' gives a {type(model).__name__}, not a module of flax.linen or"
      ' flax.nnx'
    )
  return adapt(model, output)


def _check_signature(name: str, factory: Any, num_classes: int) -> None:
  """Raises InputError unless a factory can be called with num_classes."""
  if isinstance(factory, nn.Module | nnx.Module) or not callable(factory):
    raise InputError(
      f"model '{name}' is a {type(factory).__name__}, not a class or function that"
      f' makes a model; write def {_spell(name)}(num_classes)'
    )
  parameters = nnx_models.parameters(factory)
  if parameters is None:
    return
  kinds = {parameter.kind for parameter in parameters.values()}
  if 'num_classes' in parameters or inspect.Parameter.VAR_KEYWORD in kinds:
    return
  taken = [each for each in parameters if each not in ('parent', 'name')]
  raise InputError(
    f"model '{name}' cannot be made with num_classes={num_classes}, which every factory"
    f' must take, as in {_spell(name)}(num_classes, width=8); it takes'
    f' {", ".join(taken) or "nothing"}'
  )


def _spell(name: str) -> str:
  """The name of the factory alone."""
  return name.rpartition(':')[2]


def adapt(model: nn.Module, output: str | None = None) -> nn.Module:
  """The model as one that is called as `model(images, train=...)`.

  The signature of the model tells which of `calls.SWITCHES` it takes. It is simply
  called if it takes none. In an `nn.Sequential`, the layers are told that take one.

  Args:
    model: Any linen module. One that takes `train` is returned as it is.
    output: Which of its outputs are the logits: the position in a tuple or list, or the
      name in a dictionary or dataclass. None if it returns logits alone.

  Returns:
    A module with the same parameters, the same random draws and the same names of
    modules.

  Raises:
    InputError: It is no linen module.
  """
  if not isinstance(model, nn.Module):
    raise InputError(
      f'the model is a {type(model).__name__}, not a module of flax.linen; let'
      " models.make make an NNX module, from 'package.module:factory'"
    )
  if output is None and _takes_train(model):
    return model
  return Adapted(_Held(model), output)


@dataclasses.dataclass(frozen=True, eq=False)
class _Held:
  """Hides a module from linen, which would make it a child with a name.

  It compares by identity, because fields of a user's module may have no hash.
  """

  module: nn.Module


class Adapted(nn.Module):
  """A model of another form, see `adapt`.

  Attributes:
    held: The model.
    output: Which of its outputs are the logits; None for all that it returns.
  """

  held: _Held
  output: str | None = None

  def __call__(self, images: jax.Array, *, train: bool = False) -> Any:
    """What the model returns for images [B, H, W, C], or the chosen part of it."""
    # In the scope of this module, as `init` and `apply` bind a module to theirs.
    model = self.held.module.clone(parent=self.scope, _deep_clone=True)
    result = _call(model, images, train)
    return result if self.output is None else pick(result, self.output)


def unwrap(model: nn.Module) -> nn.Module:
  """The user's own module of what `adapt` gives."""
  return model.held.module if isinstance(model, Adapted) else model


def class_name(model: nn.Module) -> str:
  """The name of the class that the user wrote."""
  model = unwrap(model)
  return model.kind if isinstance(model, nnx_models.Bridge) else type(model).__name__


def describe_call(model: nn.Module) -> str:
  """How the module is called in evaluation: 'module(images, train=False)'."""
  if not isinstance(model, Adapted):
    return 'module(images, train=False)'
  switches = {}
  if not isinstance(model.held.module, nn.Sequential | nnx_models.Bridge):
    switches = _switches(model.held.module, train=False)
  return f'module({", ".join(["images", *(f"{n}={v}" for n, v in switches.items())])})'


def list_unknown(model: nn.Module) -> list[str]:
  """The keywords of a user's own `__call__` that are none of `calls.SWITCHES`."""
  kind = _find_kind(model)
  if kind is None:
    return []
  _, _, *others = inspect.signature(kind.__call__).parameters.values()
  return [
    each.name
    for each in others
    if each.default is not each.empty and each.name not in calls.SWITCHES
  ]


def is_told(model: nn.Module) -> bool:
  """Whether a user's own `__call__` takes any of `calls.SWITCHES`, or may do so."""
  kind = _find_kind(model)
  return kind is None or bool(calls.switches(kind, train=True))


def _find_kind(model: nn.Module) -> type | None:
  """The class whose `__call__` the user wrote; None where there is none to read.

  A function that makes an NNX module tells nothing of it, and a Sequential's layers are
  told each by itself.
  """
  module = unwrap(model)
  is_nnx = isinstance(module, nnx_models.Bridge)
  kind = module.factory.make if is_nnx else type(module)
  if not isinstance(kind, type) or issubclass(kind, nn.Sequential):
    return None
  return kind


def _takes_train(model: nn.Module) -> bool:
  if isinstance(model, nn.Sequential | nnx_models.Bridge):
    return False  # what a Sequential gets beside the images goes to its first layer
  parameters = inspect.signature(type(model).__call__).parameters
  kinds = {parameter.kind for parameter in parameters.values()}
  return 'train' in parameters or inspect.Parameter.VAR_KEYWORD in kinds


def _call(model: nn.Module, images: jax.Array, train: bool) -> Any:
  if isinstance(model, nnx_models.Bridge):
    return model(images, train=train)
  if not isinstance(model, nn.Sequential):
    return model(images, **_switches(model, train))

  def tell_layers(call, args, kwargs, context):
    layer = context.module
    if context.method_name == '__call__' and isinstance(layer.parent, nn.Sequential):
      kwargs = {**_switches(layer, train), **kwargs}
    return call(*args, **kwargs)

  with nn.intercept_methods(tell_layers):
    return model(images)


def _switches(module: nn.Module, train: bool) -> dict[str, bool]:
  """The switches that a module takes, but for those that it was made with."""
  found = calls.switches(type(module), train=train)
  return {n: value for n, value in found.items() if getattr(module, n, None) is None}


def list_outputs(result: Any) -> dict[str, Any] | None:
  """What a model returns, by the words that `output` may be; None for one array."""
  if isinstance(result, Mapping):
    return {str(key): value for key, value in result.items()}
  if dataclasses.is_dataclass(result) and not isinstance(result, type):
    names = [field.name for field in dataclasses.fields(result)]
    return {name: getattr(result, name) for name in names}
  if not isinstance(result, tuple | list):
    return None
  names = getattr(result, '_fields', ())  # of a named tuple
  by_name = dict(zip(names, result, strict=True)) if names else {}
  return {str(i): value for i, value in enumerate(result)} | by_name


def describe_outputs(result: Any) -> str:
  """What a model returns beside one array, and how to choose; '' for one array."""
  outputs = list_outputs(result)
  if outputs is None:
    return ''
  return (
    f'returns a {type(result).__name__} of {_enumerate(outputs)}; choose the logits'
    f' among them, as in --model_output={next(iter(outputs), "logits")}'
  )


def _enumerate(outputs: Mapping[str, Any]) -> str:
  shown = ', '.join(list(outputs)[:_SHOWN])
  return (shown or 'nothing') + (', ...' if len(outputs) > _SHOWN else '')


def pick(result: Any, output: str) -> Any:
  """One of the outputs of a model.

  Raises:
    InputError: There is no such output, or the model returns one array.
  """
  outputs = list_outputs(result)
  if outputs is None:
    raise InputError(
      f'--model_output={output}: the model returns one array; leave the flag out'
    )
  if output not in outputs:
    raise InputError(
      f'--model_output={output}: the model returns a {type(result).__name__} of'
      f' {_enumerate(outputs)}{did_you_mean(output, list(outputs))}'
    )
  return outputs[output]
