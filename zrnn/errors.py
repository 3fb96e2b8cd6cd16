"""What a user did wrong, or what stands in the way."""


class UserError(ValueError):
    """The only exception whose text is shown to a user: one line that says what to do."""
