"""Errors that are written for the person who started the work, not for us."""


class GristmillError(Exception):
    """What went wrong outside of our code: the message says what, where and what to do; no stack belongs to it."""


class UnknownNameError(GristmillError, LookupError):
    """A name that somebody gave (an asset, a key, a step, a document) and that names nothing."""


class RefusedRequestError(GristmillError, ValueError):
    """What somebody asked for that cannot be done in that way: the message says which way would do."""
