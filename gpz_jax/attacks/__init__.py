"""What an adversary does with an activation."""
