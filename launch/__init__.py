"""How ranks come to life: the command line, the entry point of a rank, local spawning, repeated launches."""
