"""The one kind of error that commands end with on purpose: what is wrong, and what to do, without a traceback."""


class CommandError(Exception):
    """A command cannot do its work; the text is shown and the exit code is 1.

    Attributes:
        advice: What to do.
    """

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem)
        self.advice = advice

    def __str__(self) -> str:
        problem = super().__str__()
        return f"{problem.rstrip('.')}. {self.advice}".strip() if self.advice else problem
