"""Assets of the chapter `corpus`, one module a group."""
