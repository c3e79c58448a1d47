"""Assets of the chapter `model`, one module a group."""
