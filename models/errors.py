"""The one exception for what a user can mend."""


class InputError(ValueError):
    """Bad data or a bad setting: one line that names the file, record, key or option, the value and what is allowed.

    The command line prints the message without a stack trace and exits with code 2.
    """
