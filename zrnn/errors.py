"""What a user did wrong, or what stands in the way."""


class UserError(ValueError):
    """Its text is shown to the user without a traceback: a line for each mistake."""
