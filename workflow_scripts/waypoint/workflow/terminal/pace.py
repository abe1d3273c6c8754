"""How far a run is and how long it still takes, in seconds of jobs: expected ones, corrected by measured ones."""

from collections import Counter

DOUBT = 10.0  # seconds of finished jobs that the first expectation weighs as much as


class Pace:
    """The jobs of one run.

    Args:
        counts: {rule: jobs that will run}. expected: {rule: seconds of one job}; a rule that is not in it takes one.
        measured: rules whose seconds were measured in an earlier run of this experiment, so they are in its own unit.
        cores: jobs at a time; None where a cluster says how many, then as many as were ever seen at once.
    """

    def __init__(self, counts, expected, measured=(), cores=None):
        self.counts, self.expected, self.measured, self.cores = Counter(counts), expected, set(measured), cores
        self.done, self.spent = Counter(), Counter()
        self.at_once = 1
        self._told = 0.0

    def finished(self, rule, seconds):
        """Record that a job of a rule has ended after so many seconds."""
        self.done[rule] += 1
        self.spent[rule] += seconds
        self.counts[rule] = max(self.counts[rule], self.done[rule])

    def seconds(self, rule):
        """Seconds of one job: this run's mean, or the expected time scaled by the delay of this run's other jobs."""
        if self.done[rule]:
            return self.spent[rule] / self.done[rule]
        expected = self.expected.get(rule, 1.0)
        return expected if rule in self.measured else expected * self._factor()

    def _factor(self):
        timed = [rule for rule in self.done if rule not in self.measured]
        spent = sum(self.spent[rule] for rule in timed)
        thought = sum(self.done[rule] * self.expected.get(rule, 1.0) for rule in timed)
        return (spent + DOUBT) / (thought + DOUBT)

    def left(self, running=()):
        """(seconds of jobs still to come, of which the longest running job has so many).

        Args:
            running: (rule, seconds so far, seconds that it says are left or None) of every running job.
        """
        waiting = Counter(self.counts)
        waiting.subtract(self.done)
        waiting.subtract(Counter(rule for rule, *_ in running))
        rest = sum(max(n, 0) * self.seconds(rule) for rule, n in waiting.items())
        each = [max(self.seconds(rule) - so_far, said or 0.0, 0.0) for rule, so_far, said in running]
        return rest + sum(each), max(each, default=0.0)

    def share(self, running=()):
        """The part of the work that is done, 0 to 1; it never goes back, and is 1 only when every job has ended."""
        if self.done.total() >= self.counts.total():
            return 1.0
        spent = sum(self.spent.values()) + sum(so_far for _, so_far, _ in running)
        left, _ = self.left(running)
        self._told = max(self._told, min(spent / max(spent + left, 1e-9), 0.99))
        return self._told

    def eta(self, running=()):
        """Seconds until the run ends if the cores stay busy, and not before its longest running job."""
        self.at_once = max(self.at_once, len(running))
        left, longest = self.left(running)
        return max(left / (self.cores or self.at_once), longest)
