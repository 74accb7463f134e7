"""What the command `intervention` does when it is not serving."""
