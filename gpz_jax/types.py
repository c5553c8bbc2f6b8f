"""The words every other module speaks: datasets, tasks, treatments, lanes, errors.

Letters in shapes: N examples, B batch, L lanes, K classes, (H, W, C) image,
(h, w, c) activation. Images and activations are channels last. A pytree whose name
is plural (`targets`, `decoders`) carries the lane axis L first; the body of a step
is written for one lane, has singular names and no lane axis.
"""

import ast
import dataclasses
import difflib
import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # JAX takes seconds to import, and --help must not wait for it
  import jax


def hint(word: str, known: Iterable[str]) -> str:
  """The end of an error about an unknown word: `; did you mean 'x'? Known: w, x`."""
  known = list(known)
  return f'{did_you_mean(word, known) or "."} Known: {", ".join(known)}'


def check_known(what: str, value: str, known: Iterable[str]) -> None:
  """Refuses an unknown word.

  Raises:
    InputError: `what 'value' is not known`, with the nearest and all that are.
  """
  known = list(known)
  if value not in known:
    raise InputError(f"{what} '{value}' is not known{hint(value, known)}")


def literal_or_word(text: str) -> Any:
  """The Python literal that a text spells; the text itself where it spells none."""
  try:
    return ast.literal_eval(text)
  except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
    return text


def did_you_mean(word: str, known: Sequence[str]) -> str:
  """`; did you mean 'x'?`, or nothing where nothing known is near."""
  near = difflib.get_close_matches(word, known, n=1)
  return f'; did you mean {near[0]!r}?' if near else ''


# The cut behind the last layer: the device sends the logits.
PREDICTION = 'prediction'
LINE_WIDTH = 88  # characters of a line that a command prints


class InputError(ValueError):
  """Something the user handed over cannot be used.

  The message is one line that names the thing, its value and the way out; commands
  print it and exit with status 2. What it quotes may hold anything: line breaks and
  other characters that are not printed are spelled out.
  """

  def __init__(self, message: str):
    super().__init__(one_line(message))


class BusyError(InputError):
  """Another process is writing what was named; it can be had later."""


def one_line(text: str) -> str:
  """The text with each character that would not be printed spelled out, as in repr."""
  return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in text.strip())


def first_line(error: BaseException) -> str:
  """What a foreign module's error says first; its kind where it says nothing."""
  lines = str(error).strip().splitlines()
  return lines[0].strip() if lines else type(error).__name__


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A subset of a task, on the host."""

  image: np.ndarray  # [N, H, W, C] uint8
  label: np.ndarray  # [N] int32

  def __post_init__(self):
    if self.image.ndim != 4 or self.image.dtype != np.uint8:
      raise ValueError(
        f'images must be uint8 [N, H, W, C], got {self.image.dtype} {self.image.shape}'
      )
    if self.label.shape != self.image.shape[:1]:
      raise ValueError(
        f'{len(self.image)} images but labels of shape {self.label.shape}'
      )
    if not np.issubdtype(self.label.dtype, np.integer):
      raise ValueError(f'labels must be integers, got {self.label.dtype}')

  def __len__(self) -> int:
    return len(self.image)

  def take(self, index) -> 'Dataset':
    """The examples at `index` (a slice or an integer array)."""
    return Dataset(self.image[index], self.label[index])

  def append(self, other: 'Dataset') -> 'Dataset':
    """These examples, and the others behind them."""
    return Dataset(
      np.concatenate([self.image, other.image]),
      np.concatenate([self.label, other.label]),
    )


@dataclasses.dataclass(frozen=True)
class Task:
  """A classification problem and the data its attacker holds.

  `train`, `val` and `test` belong to the target's owner, `aux` to the attacker. No
  example is in two subsets. `notes` say in sentences where the subsets came from.
  `aux_class_names` are those of the labels of `aux`, where it is another dataset.
  `official` names those of `val` and `test` that the dataset itself keeps apart; the
  others are shares of its train subset.
  """

  name: str
  aux_name: str
  num_classes: int
  class_names: tuple[str, ...]
  train: Dataset
  val: Dataset
  test: Dataset
  aux: Dataset
  notes: tuple[str, ...] = ()
  aux_class_names: tuple[str, ...] = ()
  official: tuple[str, ...] = ()

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(H, W, C) of every image."""
    return self.test.image.shape[1:]


def stable_hash(text: str) -> int:
  """A hash of `text` that is the same in every process: an integer in [0, 2**31)."""
  digest = hashlib.sha256(text.encode(errors='surrogatepass')).digest()
  return int.from_bytes(digest[:4], 'big') >> 1


@functools.total_ordering
@dataclasses.dataclass(frozen=True)
class Treatment:
  """What distinguishes one target from another, beside its seed.

  Rows of results are grouped by it: each field is a column of every row. A field that
  is added later must have a default that leaves the target as it was, because defaults
  are left out of the text and of the identity: the names and the random keys of the
  lanes there are stay the same.

  Attributes:
    alpha: label smoothing, in (-1, 1); 0 trains on one-hot labels.
    skips: The factors of the skip connections in the one way in which they are written,
      see `skip_text.canonical`.
    defence: A defence with its options, see `defences.parse`.
  """

  alpha: float = 0.0
  skips: str = 'intact'
  defence: str = 'none'

  @classmethod
  def of(cls, row: Mapping[str, Any]) -> 'Treatment':
    """The treatment of the target that a row of results is about."""
    return cls(**{field.name: row[field.name] for field in dataclasses.fields(cls)})

  @property
  def columns(self) -> dict[str, Any]:
    """The treatment as columns of a row."""
    return dataclasses.asdict(self)

  def __lt__(self, other: 'Treatment') -> bool:
    """Whether it comes first: by alpha, then what leaves a target as it was."""
    return self._sort_key() < other._sort_key()

  def _sort_key(self) -> tuple[Any, ...]:
    plain = type(self)()
    return (
      self.alpha,
      (self.skips != plain.skips, self.skips),
      (self.defence != plain.defence, self.defence),
    )

  @classmethod
  def list_telling(cls, treatments: Iterable['Treatment']) -> tuple[str, ...]:
    """The names of the fields to show: alpha, and those that are not all defaults."""
    told = {name for treatment in treatments for name, _ in treatment._extras()}
    names = (field.name for field in dataclasses.fields(cls))
    return tuple(name for name in names if name == 'alpha' or name in told)

  @property
  def identity(self) -> str:
    """What the names of lanes are made of: the alpha, and all that is no default."""
    return '|'.join([repr(self.alpha), *(f'{n}={v!r}' for n, v in self._extras())])

  def __str__(self) -> str:
    return ', '.join(
      [f'alpha {self.alpha:g}', *(f'{n} {v}' for n, v in self._extras())]
    )

  def _extras(self) -> list[tuple[str, Any]]:
    """The names and values of the fields beside alpha that are no defaults."""
    return [
      (field.name, getattr(self, field.name))
      for field in dataclasses.fields(self)
      if field.name != 'alpha' and getattr(self, field.name) != field.default
    ]


@dataclasses.dataclass(frozen=True)
class Lane:
  """One independent training, by the plain values that name it."""

  model: str
  dataset: str
  treatment: Treatment
  seed: int

  @property
  def lane_id(self) -> str:
    """A stable name: equal for equal lanes, in every process and version."""
    text = f'{self.model}|{self.dataset}|{self.treatment.identity}|{self.seed}'
    return f'{stable_hash(text):08x}'

  def __str__(self) -> str:
    return f'{self.treatment} seed {self.seed}'

  def key(self) -> 'jax.Array':
    """The random key every draw of this lane is folded in from."""
    import jax

    return jax.random.fold_in(jax.random.key(self.seed), int(self.lane_id, 16))
