"""Assets of the chapter `evaluation`, one module a group."""
