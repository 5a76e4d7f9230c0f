"""The one kind of error that commands end with on purpose: what is wrong, and what to do, without a traceback."""


class CommandError(Exception):
    """A command cannot do its work; the text is shown and the exit code is 1.

    Attributes:
        problem: What is wrong.
        advice: What to do.
    """

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.problem.rstrip('.')}. {self.advice}".strip() if self.advice else self.problem
