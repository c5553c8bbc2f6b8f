"""What a defence gains in attack accuracy for what it costs in accuracy."""

from typing import NamedTuple


class Delta(NamedTuple):
  """Points of attack accuracy lost for each point of accuracy lost.

  Attributes:
    value: The ratio; None where it means nothing.
    reason: Why it is None; None where it is not.
  """

  value: float | None
  reason: str | None


def delta(
  att_acc_none: float,
  att_acc_defended: float,
  accuracy_none: float,
  accuracy_defended: float,
  *,
  least_fall: float = 0.0,
) -> Delta:
  """(AttAcc_none - AttAcc_defended) / (Acc_none - Acc_defended).

  Args:
    att_acc_none: AttAcc@1 without a defence.
    att_acc_defended: AttAcc@1 with it, in the same unit.
    accuracy_none: Accuracy without a defence.
    accuracy_defended: Accuracy with it, in the same unit.
    least_fall: The fall of accuracy that is still noise, in the same unit, such as the
      width of its interval over seeds.

  Returns:
    The ratio. It is undefined where accuracy did not fall by more than `least_fall`: a
    defence that costs nothing would have an infinite or a negative one.

  Source: docs/paper.md#metrics-of-model-inversion.
  """
  fall = accuracy_none - accuracy_defended
  if not fall > least_fall:  # nor where one of them is not a number
    than = f' by more than {least_fall:g}' if least_fall else ''
    return Delta(
      None,
      f'accuracy did not fall{than} ({accuracy_none:g} without the defence,'
      f' {accuracy_defended:g} with it)',
    )
  gain = att_acc_none - att_acc_defended
  if gain != gain:
    return Delta(None, 'there is no attack accuracy')
  return Delta(gain / fall, None)
