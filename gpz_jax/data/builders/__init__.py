"""The TFDS builders this project adds, and TFDS's own fed from published files."""

NAMES = ('shapes', 'portraits', 'kuzushiji49', 'facescrub', 'celeb_a_1000')

# Made by the project itself, so that nobody has to prepare them.
DRAWN = ('shapes', 'portraits')

# None has files that anyone may download without asking, or a stable address.
BY_HAND = ('kuzushiji49', 'facescrub', 'celeb_a_1000')
