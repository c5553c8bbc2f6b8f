"""Whether a study that goes on is of the same targets and images as its rows.

A config names a file of weights, a module and a data set. What they hold may change
between two runs, and rows of both would then stand in one table.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from gpz_jax import atomic, checkpoints, results
from gpz_jax.models import skip_lanes
from gpz_jax.study.workdir import Workdir
from gpz_jax.targets import Targets
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError, Lane, Task
from gpz_jax.zone.accuracies import SAME_ACCURACY
from gpz_jax.zone.worth import Ladder, is_other_guess

# Between two devices an accuracy may differ by an image that lies on the border.
SAME_IMAGES = 1.5


def digest_data(task: Task) -> dict[str, str]:
  """Checksums of what targets are trained on, and of what their epoch is chosen on."""
  subsets = {'train': task.train, 'val': task.val}
  return checkpoints.checksums(
    {name: [subset.image, subset.label] for name, subset in subsets.items()}
  )


def digest_targets(lanes: Sequence[Lane], targets: Targets) -> dict[str, str]:
  """A checksum of the variables of each target [L], by lane id.

  Batch-norm averages that are measured at each start (`at_accuracy` with `bn_refresh`)
  must not be among them: their last bits depend on the machine.
  """
  stacked = skip_lanes.drop_carried(jax.device_get(targets.best.variables))
  return {
    lane.lane_id: checkpoints.digest(lanes_lib.take(stacked, i))
    for i, lane in enumerate(lanes)
  }


def read_targets(workdir: Workdir) -> dict[str, str]:
  """What `keep_targets` wrote; empty in the workdir of an earlier version.

  Raises:
    InputError: The file is damaged.
  """
  found = results.read_object(workdir.attacked)
  return {lane_id: str(digest) for lane_id, digest in found.items()}


def find_replaced(
  workdir: Workdir, lanes: Sequence[Lane], now: Mapping[str, str]
) -> list[Lane]:
  """The lanes that have rows of another target than there is now.

  Args:
    workdir: The workdir of the study.
    lanes: Its targets.
    now: What `digest_targets` gives of them.

  Raises:
    InputError: As of `read_targets`.
  """
  before = read_targets(workdir)
  differing = [
    lane
    for lane in lanes
    if before.get(lane.lane_id, now[lane.lane_id]) != now[lane.lane_id]
  ]
  if not differing:
    return []
  schemas = (results.RESULTS, results.INVERSIONS)
  rows = [row for schema in schemas for row in workdir.read_rows(schema)]
  attacked = {row['lane_id'] for row in rows}
  return [lane for lane in differing if lane.lane_id in attacked]


def keep_targets(workdir: Workdir, lanes: Sequence[Lane], now: dict[str, str]) -> None:
  """Writes checksums of the targets that are attacked from now on.

  Args:
    workdir: The workdir of the study.
    lanes: Its targets.
    now: What `digest_targets` gives of them.

  Raises:
    InputError: There are rows of other targets, or the file is damaged.
  """
  if replaced := find_replaced(workdir, lanes, now):
    raise InputError(
      f'--workdir={workdir} holds rows of another target {replaced[0]} than there is'
      ' now: its file was overwritten, or it was trained again; bring back what it was,'
      ' or name another workdir'
    )
  if now != read_targets(workdir):
    atomic.write_json(workdir.attacked, now)


def check_data(
  whose: str, before: Mapping[str, str] | None, now: Mapping[str, str]
) -> None:
  """Refuses targets that were trained on other data than there are now.

  A data set that changed is divided anew. Some of the images that the targets were
  trained on would then be those of the attacker, or of the test.

  Args:
    whose: The flag that names the targets, with its value.
    before: What `digest_data` gave when they were trained; None where nobody knows.
    now: What it gives now.

  Raises:
    InputError: The two differ.
  """
  if before is not None and before != now:
    raise InputError(
      f'the targets of {whose} were trained on other images or labels than there are'
      ' now: the data have changed since; restore the data, or train targets again in'
      ' another workdir'
    )


def check_trained_on(
  whose: str, before: Mapping[str, str] | None, now: Mapping[str, str]
) -> None:
  """Refuses targets that are lent to a study with other training images or labels.

  A study may choose epochs on more or other images of val than the one that lends. The
  targets are not trained on them.

  Args:
    whose: The flag that names the targets, with its value.
    before: What `digest_data` gave when they were trained; None where nobody knows.
    now: What it gives in the study that borrows them.

  Raises:
    InputError: The two differ in what is trained on.
  """
  if before is not None:
    check_data(whose, _of_train(before), _of_train(now))


def _of_train(data: Mapping[str, str]) -> dict[str, str]:
  return {name: digest for name, digest in data.items() if name.startswith('train/')}


def check_accuracy(
  workdir: Path, whose: str, before: float, now: float, num_images: int
) -> None:
  """Refuses to go on where a target is another one than that of the rows.

  Args:
    workdir: The workdir of the study.
    whose: Whose accuracy it is, in words.
    before: The accuracy that a row has.
    now: The accuracy that was measured now.
    num_images: On how many images.

  Raises:
    InputError: They differ by more than two devices would.
  """
  if is_other_accuracy(before, now, num_images):
    raise InputError(
      f'--workdir={workdir} holds rows in which {whose} has an accuracy of'
      f' {before:.3f}, and now it has {now:.3f}: the weights, the code of the model or'
      ' the data have changed since; name another workdir'
    )


def is_other_accuracy(before: float, now: float, num_images: int) -> bool:
  """Whether two accuracies on so many images differ by more than two devices would."""
  return abs(before - now) > max(SAME_ACCURACY, SAME_IMAGES / num_images)


def check_guesses(workdir: Path, before: Ladder, now: Ladder) -> None:
  """Refuses to go on where simple guesses score otherwise: the images are others.

  Args:
    workdir: The workdir of the study.
    before: The ladder that is there, see `metrics.ladder`.
    now: That of the images as they are.

  Raises:
    InputError: A guess that both have differs.
  """
  if other := find_other_guess(before, now):
    name, was, found = other
    raise InputError(
      f'--workdir={workdir} was begun with other images: the guess {name} scored'
      f' {was:.5f} on them and scores {found:.5f} now; restore them, or name another'
      ' workdir'
    )


def find_other_guess(before: Ladder, now: Ladder) -> tuple[str, float, float] | None:
  """A guess that scores otherwise on two sets of images, and its scores; or None.

  Args:
    before: The ladder of one set, see `metrics.ladder`.
    now: That of the other; only guesses of both are compared.
  """
  for name in before.keys() & now.keys():
    was, found = before[name].get('mse'), now[name]['mse']
    if was is not None and is_other_guess(found, was):
      return name, was, found
  return None
