"""The errors that the person who starts the proxy can put right.

UserError
└── SettingsError   a setting, or the file it stands in
"""


class UserError(Exception):
    """What the person at the command line can put right; its text is one sentence for them."""


class SettingsError(UserError):
    """A setting that cannot be used: where it was written, what is wrong, what to write."""
