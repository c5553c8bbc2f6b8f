"""The TFDS builders this project adds."""

NAMES = ('shapes',)
