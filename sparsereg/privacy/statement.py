"""What a fitted model promises, to whom, and under which assumptions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PrivacyStatement:
    """The privacy of the persons whose reports a model was fitted on.

    Attributes
    ----------
    protects : {"record", "label"}
        What of a person's data is protected.
    epsilon : float
        What was asked for.
    epsilon_effective : float
        The privacy loss of a report as computed from its integer threshold: at most epsilon.
    delta : float
        0 if the guarantee is pure.
    n_rounds : int
        Rounds of reports, each answered by other persons: that is up to who asks them.
    n_reports : int
        Reports that were counted.
    simulated : bool
        Whether the reports were made by ``fit`` from data in one place. Then nobody is protected.
    told : tuple of str
        What the estimator was told besides the reports, and must therefore be public.
    """

    protects: str
    epsilon: float
    epsilon_effective: float
    delta: float
    n_rounds: int
    n_reports: int
    simulated: bool
    told: tuple[str, ...] = ()

    def __str__(self) -> str:
        who = "record (x, y)" if self.protects == "record" else "label y, given a public x"
        law = "probabilities that the report is in it differ by a factor of at most e^epsilon."
        if self.delta:
            law = (
                "probabilities p and q that the report is in it are such that p <= e^epsilon q + "
                "delta. This is not pure: what has a probability of at most delta may tell "
                "everything."
            )
        lines = [
            f"Local differential privacy, epsilon = {self.epsilon_effective:.12g}, delta = "
            f"{self.delta:g}: for any two values of a person's {who}, and any set of reports, the "
            f"{law}",
            f"Unit: one person, one report ({self.n_reports} reports, rounds: {self.n_rounds}). "
            f"That nobody answers twice is up to the devices and their budgets, and not checked "
            f"here: the epsilons{' and deltas' if self.delta else ''} of one person's reports add "
            f"up.",
            "Assumes: the device runs the client and keeps the record to itself, its operating "
            "system provides random bits, and nobody observes its running time. Trusts neither "
            "the network nor the server. Everything computed from reports is covered.",
        ]
        if self.told:
            lines.append(
                f"Told besides the reports, and taken to be public: {'; '.join(self.told)}."
            )
        if self.simulated:
            lines.append(
                "SIMULATION: the reports were made here from the data, by a generator that can be "
                "seeded. This model protects nobody."
            )
        return "\n".join(lines)
