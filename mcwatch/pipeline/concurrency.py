"""How many deliveries of a destination go side by side: more while it works, half as many after trouble."""


class Concurrency:
    """Additive increase, multiplicative decrease, between one and ``most``.

    Each success adds one part of the present limit, so that it takes a round of successes to grow by one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = 1.0

    @property
    def limit(self) -> int:
        """How many may be under way now."""
        return int(self._limit)

    def worked(self) -> None:
        """Report a delivery that worked."""
        self._limit = min(float(self._most), self._limit + 1 / self._limit)

    def failed(self) -> None:
        """Report trouble that fewer requests might spare the receiver."""
        self._limit = max(1.0, self._limit / 2)
