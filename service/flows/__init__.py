"""The stories, by verb: load, ask the domain, hand back what to write and what to answer."""
