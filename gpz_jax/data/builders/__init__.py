"""The TFDS builders this project adds, and TFDS's own fed from published files."""

NAMES = ('shapes', 'kuzushiji49', 'facescrub')

# Neither has files that anyone may download without asking, or a stable address.
BY_HAND = ('kuzushiji49', 'facescrub')
