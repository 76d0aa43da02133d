"""The one exception that a user's input may raise."""


class InputError(Exception):
    """Input from outside does not fit.

    The message is one sentence that says what was expected, what came and what to do. The command
    line prints it and exits with 2; nodes log it and refuse to configure.
    """
