"""Assets of the chapter `tokens`, one module a group."""
