"""The attack by a decoder trained on the attacker's images (`inversion`)."""

import dataclasses
import functools
import math
from typing import Any, Literal

import flax.linen as nn
import jax
import numpy as np

from gpz_jax import own
from gpz_jax.attacks.activation import (
  attention,
  decoders,
  enhance,
  inputs,
  interception,
  inversion,
  losses,
)
from gpz_jax.attacks.activation.interception import Activations
from gpz_jax.attacks.activation.objective import make_trainer
from gpz_jax.attacks.activation.protocol import (
  Attack,
  Dimensions,
  ImageShape,
  Network,
  Outcome,
  Scenario,
  Shape,
)
from gpz_jax.models import own_models
from gpz_jax.training.engine import Engine
from gpz_jax.training.loop import Trainer
from gpz_jax.training.recipe import Recipe
from gpz_jax.types import InputError, Task

MAX_WIDTH = 16
ActOrAuto = Literal['auto', 'code', 'tanh', 'prelu']


@dataclasses.dataclass(frozen=True)
class DecoderAttack(Attack):
  """A decoder trained on the attacker's images.

  Attributes:
    input: What the decoder is given, see `inputs`.
    enhance: Enhancement of its input, see `enhance`.
    stats: What `normalize` takes its mean and deviation of: `sent`, the activations
      that the decoder is given, or `raw`, those of the same images without the target's
      normalization, as the released code does.
    attention: Blocks after its upsamplings, see `attention`.
    decoder: Kind of decoder, or one of the user's own, see `decoders.make`.
    loss: What the decoder minimises, see `losses`.
    act: Kind of its activation functions. The default, auto, follows its kind.
    width: What the channels of its layers are multiplied by, > 0.
  """

  input: str = 'activation'
  enhance: str = 'none'
  stats: Literal['sent', 'raw'] = 'sent'
  attention: str = 'none'
  decoder: str = 'auto'
  loss: str = 'mse'
  act: ActOrAuto = 'auto'
  width: float = 1.0

  def __post_init__(self):
    inputs.make(self.input)
    enhance.parts(self.enhance)
    attention.plan(self.attention, 1)
    decoders.check_kind(self.decoder)
    losses.check(self.loss)
    if not 0 < self.width <= MAX_WIDTH:
      raise InputError(
        f"attack '{self.text}': width={self.width:g} is not above 0 and at most"
        f' {MAX_WIDTH}; give another one'
      )
    if self.stats == 'raw' and (
      'normalize' not in self.enhance or self.input != 'activation'
    ):
      raise InputError(
        f"attack '{self.text}': stats=raw is for enhance=normalize_... of activations;"
        ' leave it out'
      )
    if self.reads_prediction and self.at:
      raise InputError(
        f"attack '{self.text}' reads the prediction, whatever the split; leave out 'at'"
      )

  @property
  def reads_prediction(self) -> bool:
    """Whether it attacks the model's answer instead of a split."""
    return self.input in inputs.PREDICTIONS

  def make(self, activation: Shape, image: ImageShape) -> nn.Module:
    """The decoder for activations or logits of a shape.

    Args:
      activation: Shape of one activation, without the batch.
      image: (H, W, C).

    Raises:
      InputError: The attack does not work on them.
    """
    return decoders.make(
      inputs.shape(self.input, activation, image),
      image,
      act=None if self.act == 'auto' else self.act,
      kind=self.decoder,
      attention=self.attention,
      enhance=self.enhance,
      width=self.width,
    )

  def check_task(self, task: Task) -> None:
    """Raises InputError if a decoder or a loss of the user's own cannot be loaded.

    A misfit at one split leaves that split out, and a typo must not look like one.
    """
    if ':' in self.decoder:
      own.load(f"decoder '{self.decoder}'", self.decoder)
    losses.make(self.loss, task.image_shape)

  def check_model(self, model: nn.Module) -> None:
    """Raises InputError if there is no normalization that stats=raw could leave out."""
    if self.stats == 'raw' and not hasattr(model, 'normalization'):
      raise InputError(
        f"attack '{self.text}': {own_models.class_name(model)} has no option"
        ' normalization that stats=raw could leave out; use stats=sent'
      )

  def check_shape(self, activation: Shape, image: ImageShape) -> None:
    """Raises InputError if there is no decoder for activations of a shape."""
    self.make(activation, image)
    losses.make(self.loss, image)

  def make_network(self, activation: Shape, image: ImageShape) -> Network:
    """The decoder and the shape of its input."""
    shape = inputs.shape(self.input, activation, image)
    return Network(self.make(activation, image), shape)

  def compile_ahead(
    self, dimensions: Dimensions, recipe: Recipe, engine: Engine
  ) -> Trainer:
    """The compiled programs of the decoders' training."""
    sizes = dimensions

    def shapes(count: int):
      sent = jax.ShapeDtypeStruct(
        (sizes.num_lanes, count, *sizes.activation), sizes.dtype
      )
      if self.input != 'activation':
        read = inputs.make_for(self.input, sizes.activation, sizes.image)
        sent = jax.eval_shape(jax.vmap(read), sent)
      return sent, jax.ShapeDtypeStruct((count, *sizes.image), np.uint8)

    train = shapes(sizes.num_train)
    statistics = functools.partial(enhance.normalization_stats, self.enhance)
    return make_trainer(
      self.make(sizes.activation, sizes.image),
      train,
      shapes(sizes.num_held_out),
      recipe,
      loss=self.loss,
      normalization_stats=jax.eval_shape(statistics, train[0]),
      engine=engine,
      ahead=True,
    )

  def run(self, scenario: Scenario) -> Outcome:
    """Trains a decoder for each lane."""
    train = self._read(scenario.train_activations, scenario.image_shape)
    again, shape = scenario.redraw, scenario.image_shape
    with scenario.phase(f'{len(scenario.lanes)} decoders') as phase:
      trained, history = inversion.train(
        self._make(scenario),
        scenario.lanes,
        (train, scenario.train.image),
        (
          self._read(scenario.held_out_activations, scenario.image_shape),
          scenario.held_out.image,
        ),
        scenario.decoder_recipe,
        loss=self.loss,
        normalization_stats=self._measure(scenario, train),
        engine=scenario.engine,
        trainer=scenario.trainer,
        order_seed=scenario.order_seed,
        on_progress=phase,
        snapshots=scenario.snapshots('', scenario.lanes),
        redraw=again and (lambda number: self._read(again(number), shape)),
      )
    return self.restore(scenario, trained)._replace(history=history)

  def blank(self, scenario: Scenario) -> Any:
    """The shapes of the decoders."""
    shape = inputs.shape(
      self.input, scenario.intercepted.aux.shape[2:], scenario.image_shape
    )
    return jax.eval_shape(
      lambda: inversion.blank(self._make(scenario), shape, len(scenario.lanes))
    )

  def restore(self, scenario: Scenario, saved: inversion.Decoders) -> Outcome:
    """The outcome of trained decoders, which rebuild images when they are asked for."""
    decoder = self._make(scenario)

    def decode(activations: Activations):
      given = self._read(activations, scenario.image_shape)
      return functools.partial(
        inversion.decode_rows, decoder, saved, given, scenario.engine
      )

    params = jax.tree.leaves(saved.best.params)
    return Outcome(
      on_test=decode(scenario.intercepted.test),
      n_test=len(scenario.test),
      is_finite=saved.is_finite,
      on_train=decode(scenario.train_activations),
      n_train=len(scenario.train),
      # An enhancement wraps the decoder, whose name says more.
      architecture=type(getattr(decoder, 'decoder', decoder)).__name__,
      num_params=sum(math.prod(leaf.shape[1:]) for leaf in params),
      epochs=scenario.decoder_recipe.epochs,
      steps=saved.step,
      best_epoch=saved.best.epoch,
      saved=saved,
    )

  def _measure(self, scenario: Scenario, sent: Activations) -> dict[str, Any]:
    """The mean and deviation that `normalize` uses."""
    if self.stats == 'raw':
      sent = interception.intercept(
        scenario.model.clone(normalization='none'),
        scenario.targets,
        scenario.lanes,
        scenario.train.image,
        engine=scenario.engine,
      )
    return enhance.normalization_stats(self.enhance, sent)

  def _make(self, scenario: Scenario) -> nn.Module:
    return self.make(scenario.intercepted.aux.shape[2:], scenario.image_shape)

  def _read(self, activations: Activations, image: ImageShape) -> Activations:
    """What the decoder is given when the activations are [L, N, ...]."""
    if self.input == 'activation':
      return activations
    read = inputs.make_for(self.input, activations.shape[2:], image)
    return interception.convert(activations, read)
