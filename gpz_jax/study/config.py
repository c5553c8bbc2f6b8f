"""StudyConfig: what every study can be told, checked where it is made.

The flags of the command line, config.json and the programmatic interface are all made
from the fields below. A study adds fields of its own in a subclass.
"""

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING, Any, ClassVar

from gpz_jax import skip_text, treatments, vocabulary
from gpz_jax.data import order
from gpz_jax.study import fields
from gpz_jax.study.fields import Range, field
from gpz_jax.study.model_options import parse_model_options
from gpz_jax.study.target_config import TargetConfig
from gpz_jax.training.recipe import TARGET_RECIPES, Recipe
from gpz_jax.types import Lane, Treatment

if TYPE_CHECKING:  # JAX takes seconds to import, and --help must not wait for it
  from gpz_jax.training.engine import Engine

# The fields that hold the values of a treatment's fields, in the order of those.
TREATED = ('alphas', 'skips', 'defence')
# The fields that say how targets are trained, and do nothing to one that is not.
OF_RECIPE = (
  *('target_recipe', 'target_epochs', 'target_batch_size', 'target_learning_rate'),
  *('batches', 'flip', 'shift', 'jitter'),
)
OF_TRAINING = (*OF_RECIPE, 'paired', 'smoothing', 'bn_refresh', 'keep_checkpoints')


@dataclasses.dataclass(frozen=True)
class StudyConfig(TargetConfig):
  """What is asked for. None means: as the dataset or the recipe says.

  Values become plain Python ones of the declared type, and what is not allowed raises
  an InputError, where a config is made or a field replaced. Whether data, models,
  splits and devices are there is found out when a study is planned.
  """

  word: ClassVar[str] = 'study'  # what messages call a run

  strategy: str = field(
    'auto', f'How lanes are run: {", ".join(vocabulary.STRATEGIES)}.', 'speed'
  )
  conv: str = field(
    'auto',
    'How convolutions are computed; auto takes what was measured to be fastest.',
    'speed',
    choices=vocabulary.CONVOLUTIONS,
  )
  tune: bool = field(
    False,
    'Measure first how convolutions are computed fastest on this machine.',
    'speed',
  )
  precision: str = field(
    'auto',
    'Number format of the forward and backward pass; auto is float32.',
    'targets',
    choices=vocabulary.PRECISIONS,
  )
  devices: int = field(
    0,
    'Number of local devices that lanes are spread over; 0 takes all. A CPU is one'
    ' device, of which this many are made.',
    'speed',
  )
  compile_cache: str = field(
    'auto',
    'Folder to keep compiled programs in. It must be local to the machine, and only'
    " yours. 'auto' takes one in your cache folder, and 'none' keeps nothing.",
    'speed',
  )
  profile: str | None = field(
    None, 'Folder for a trace of the run (jax.profiler).', 'speed'
  )
  save_seconds: float = field(
    30.0,
    'Least time in seconds between two snapshots of a running training.',
    'speed',
    range=Range(0.0),
  )
  note: str = field('', 'Text that the report shows beside the settings.', 'report')

  def __post_init__(self):
    for name, value in fields.checked(self).items():
      object.__setattr__(self, name, value)  # the way a frozen dataclass sets itself
    self._write_alike()
    if self.treatments:
      self._name_treatments()
    self._check_together()

  def _write_alike(self) -> None:
    """Writes treatments in one way, so that equal ones have equal lanes and rows."""
    writers = {'skips': skip_text.canonical}
    if self.defence != ('none',):
      from gpz_jax import defences

      writers['defence'] = defences.canonical
    for name, write in writers.items():
      texts = getattr(self, name)
      written = tuple(map(write, texts))
      if len(set(written)) != len(written):
        fields.refuse(name, ','.join(texts), 'no two that are the same')
      object.__setattr__(self, name, written)

  def _name_treatments(self) -> None:
    """Sets alphas, skips and defence to those of the named treatments.

    The names are left out where these flags say the same without them, so that a config
    does not depend on how its lanes were asked for.
    """
    wanted = treatments.expand(self.treatments, self.model)
    plain, values = Treatment().columns, treatments.list_values(wanted)
    for name, field_name in zip(plain, TREATED, strict=True):
      given = getattr(self, field_name)
      default = type(self).__dataclass_fields__[field_name].default
      if given not in (default, (plain[name],), values[name]):
        fields.refuse(field_name, given, 'that or --treatments, not both')
      object.__setattr__(self, field_name, values[name])
    if self.one_at_a_time:
      fields.refuse('one_at_a_time', True, 'that or --treatments, not both')
    for one_at_a_time in (False, True):
      if set(self._cross(one_at_a_time)) == set(wanted):
        object.__setattr__(self, 'one_at_a_time', one_at_a_time)
        object.__setattr__(self, 'treatments', ())
        return
    object.__setattr__(self, 'treatments', tuple(map(treatments.write, wanted)))

  @property
  def is_imported(self) -> bool:
    """Whether the target is that of a file, as it is, and none is trained."""
    return self.target_weights is not None and not self.finetune

  def list_idle(self) -> tuple[str, ...]:
    """The fields that are given and do nothing, because no target is trained.

    They are told and not refused, because almost every preset gives some, and serves an
    imported target as well.
    """
    if not self.is_imported:
      return ()
    known = type(self).__dataclass_fields__
    return tuple(
      name for name in OF_TRAINING if getattr(self, name) != known[name].default
    )

  def check_begins(self) -> None:
    """Refuses what a new study would misunderstand or pass over.

    A folder may have been begun with it by an earlier version, and is still read.

    Raises:
      InputError: naming the flag, its value and what to give.
    """
    if ' #' in self.workdir:  # of a flagfile, where it would be part of the name
      fields.refuse(
        'workdir',
        self.workdir,
        "a path without ' #'; in a flagfile a comment needs a line of its own",
      )

  def _check_together(self) -> None:
    """Raises InputError where values that are allowed alone do not go together."""
    from gpz_jax import models
    from gpz_jax.training import lanes

    if not self.workdir:
      fields.refuse('workdir', self.workdir, 'the path of a folder')
    lanes.check(self.strategy)
    if self.batches is not None:
      order.parse_batches(self.batches)
    models.check_name(self.model)
    self.parse_model_options()
    if self.channels == 2:
      fields.refuse('channels', self.channels, '1 (grey) or 3 (colour)')
    if self.batches is not None and self.target_batch_size is not None:
      fields.refuse('batches', self.batches, 'that or --target_batch_size, not both')
    if self.tune and self.conv != 'auto':
      fields.refuse('conv', self.conv, 'auto, or --notune')
    if self.finetune and not self.target_weights:
      fields.refuse('finetune', self.finetune, 'it together with --target_weights')
    if self.expect_accuracy is not None and not self.is_imported:
      fields.refuse(
        'expect_accuracy',
        self.expect_accuracy,
        'it together with --target_weights, and without --finetune',
      )
    if self.at_accuracy is not None and not (
      self.keep_checkpoints or self.targets_from
    ):
      fields.refuse(
        'at_accuracy',
        self.at_accuracy,
        'it together with --keep_checkpoints=8, or with --targets_from=WORKDIR whose'
        ' targets were trained so',
      )
    if self.at_accuracy is not None and self.is_imported:
      fields.refuse('at_accuracy', self.at_accuracy, 'that or --target_weights')
    if self.new_head and not self.target_weights:
      fields.refuse('new_head', self.new_head, 'it together with --target_weights')
    if self.is_imported and self.targets_from:
      fields.refuse(
        'targets_from', self.targets_from, 'that or --target_weights, not both'
      )

  def make_engine(self) -> 'Engine':
    """How lanes are computed on this machine.

    Raises:
      InputError: There are not as many devices as `devices` asks for.
    """
    from gpz_jax.training.engine import Engine

    return Engine(self.strategy, self.conv, self.precision, self.devices).resolve()

  def recipe_name(self) -> str:
    """The name of the recipe that the targets are trained by."""
    if self.target_recipe == 'auto':
      return vocabulary.MODELS.get(self.model, vocabulary.OWN_MODEL)
    return self.target_recipe

  def make_target_recipe(self) -> Recipe:
    """The recipe of the targets, with the config's own values put in."""
    given = {'flip': self.flip, 'shift': self.shift, 'jitter': self.jitter}
    recipe = dataclasses.replace(
      TARGET_RECIPES[self.recipe_name()],
      **{name: value for name, value in given.items() if value is not None},
    )
    recipe = self.override_recipe(recipe, 'target')
    if self.batches is None:
      return recipe
    size = math.prod(order.parse_batches(self.batches))
    return dataclasses.replace(recipe, batch_size=size)

  def override_recipe(self, recipe: Recipe, kind: str) -> Recipe:
    """A recipe with the values of the fields `{kind}_epochs` and so on that are set."""
    names = ('epochs', 'batch_size', 'learning_rate')
    given = {name: getattr(self, f'{kind}_{name}') for name in names}
    return dataclasses.replace(
      recipe, **{name: value for name, value in given.items() if value is not None}
    )

  def list_lanes(self) -> tuple[Lane, ...]:
    """The lanes of the targets: every treatment with every seed."""
    if self.treatments:
      chosen = [treatments.parse(text) for text in self.treatments]
    else:
      chosen = self._cross(self.one_at_a_time)
    return tuple(
      Lane(self.model, self.dataset, treatment, seed)
      for treatment, seed in itertools.product(chosen, self.seeds)
    )

  def _cross(self, one_at_a_time: bool) -> list[Treatment]:
    """The treatments that alphas, skips and defence give."""
    chosen = list(itertools.product(*(getattr(self, name) for name in TREATED)))
    if one_at_a_time:
      first = chosen[0]
      chosen = [
        values
        for values in chosen
        if sum(a != b for a, b in zip(values, first, strict=True)) <= 1
      ]
    return [Treatment(*values) for values in chosen]

  def parse_model_options(self) -> dict[str, Any]:
    """The options of the model as values: width=0.25 -> {'width': 0.25}."""
    return parse_model_options(self.model_options)
