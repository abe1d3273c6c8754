"""A run's progress and remaining time in seconds of jobs: expected times, corrected by measured ones."""

from collections import Counter

PRIOR_SECONDS = 10.0  # weight of the expected times, in seconds of finished jobs


class Pace:
    """The jobs of one run.

    Args:
        counts: {rule: jobs that will run}. expected: {rule: seconds of one job}; 1 second for other rules.
        measured: rules whose seconds were measured in an earlier run of this experiment and are not scaled.
        cores: jobs at a time; None on a cluster: the largest number seen to run at once.
    """

    def __init__(self, counts, expected, measured=(), cores=None):
        self.counts, self.expected, self.measured, self.cores = Counter(counts), expected, set(measured), cores
        self.done, self.spent = Counter(), Counter()
        self.at_once = 1
        self._largest_share = 0.0

    def finished(self, rule, seconds):
        """Record that a job of a rule has ended after ``seconds``."""
        self.done[rule] += 1
        self.spent[rule] += seconds
        self.counts[rule] = max(self.counts[rule], self.done[rule])

    def seconds(self, rule):
        """Return the seconds of one job: the run's mean, or the expected time scaled by the delay of other jobs."""
        if self.done[rule]:
            return self.spent[rule] / self.done[rule]
        expected = self.expected.get(rule, 1.0)
        return expected if rule in self.measured else expected * self._factor()

    def _factor(self):
        timed = [rule for rule in self.done if rule not in self.measured]
        spent = sum(self.spent[rule] for rule in timed)
        expected = sum(self.done[rule] * self.expected.get(rule, 1.0) for rule in timed)
        return (spent + PRIOR_SECONDS) / (expected + PRIOR_SECONDS)

    def left(self, running=()):
        """Return the seconds of all jobs still to come, and those of the longest running job among them.

        Args:
            running: (rule, seconds so far, seconds left by its own estimate or None) of every running job.
        """
        waiting = Counter(self.counts)
        waiting.subtract(self.done)
        waiting.subtract(Counter(rule for rule, *_ in running))
        rest = sum(max(n, 0) * self.seconds(rule) for rule, n in waiting.items())
        remaining = [max(self.seconds(rule) - so_far, estimate or 0.0, 0.0) for rule, so_far, estimate in running]
        return rest + sum(remaining), max(remaining, default=0.0)

    def share(self, running=()):
        """Return the share of the work that is done; it never decreases, and is 1 only when every job has ended."""
        if self.done.total() >= self.counts.total():
            return 1.0
        spent = sum(self.spent.values()) + sum(so_far for _, so_far, _ in running)
        left, _ = self.left(running)
        self._largest_share = max(self._largest_share, min(spent / max(spent + left, 1e-9), 0.99))
        return self._largest_share

    def eta(self, running=()):
        """Return the seconds until the run ends if the cores stay busy, at least those of its longest running job."""
        self.at_once = max(self.at_once, len(running))
        left, longest = self.left(running)
        return max(left / (self.cores or self.at_once), longest)
