"""The errors of hauser-dlt: each says what happened, what to do, and which exit code it ends with.

HauserError
├── ConfigError              fix the settings                          exit 2
│   ├── AccessError          FullStory refuses the key                 exit 2
│   └── ClockError           this machine's clock is wrong             exit 2
├── TransientError           try again later                           exit 75
│   ├── RateLimitError       ... after `retry_after` seconds
│   ├── LinkError            no link to the export was accepted
│   └── UnfinishedError      FullStory has not finished the export yet
├── ExportError              look at the export                        exit 1
│   ├── ExportFailedError    FullStory gave up on it
│   └── CorruptBundleError   the file is not what was promised
├── LoadError                look at the destination                   exit 1
├── StatusError              what is loaded is not what it should be   exit 1
└── StoppedError             a signal asked for the end                exit 128 + signal
"""

from collections.abc import Iterable
from typing import Any, Self


class HauserError(Exception):
    """Whatever hauser-dlt reports to its user as one line.

    Attributes:
        subject: what it is about, a window or a table; "" if that goes without saying.
        others: errors of the same work, which are told in the same line.
        summary: what was done before, where a run from Python ends with the error; see `hauser_dlt.run`.
    """

    exit_code = 1
    subject = ""
    others: "tuple[HauserError, ...]" = ()
    summary: Any = None

    def about(self, subject: object) -> Self:
        """Return the error, which says now what it is about."""
        self.subject = str(subject)
        return self

    def __str__(self) -> str:
        own = super().__str__()
        return "; ".join((f"{self.subject}: {own}" if self.subject else own, *map(str, self.others)))


def together(errors: Iterable[HauserError]) -> HauserError:
    """Return the first of some errors, which tells of the others, too."""
    first, *others = errors
    first.others = tuple(others)
    return first


class ConfigError(HauserError):
    """A setting is missing, unreadable or not allowed."""

    exit_code = 2


class AccessError(ConfigError):
    """FullStory refuses the API key, or the key's role is too low."""


class ClockError(ConfigError):
    """This machine's clock disagrees with FullStory's."""


class TransientError(HauserError):
    """Something outside is not answering at present; the same command may work later."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h, which schedulers read as "retry"


class RateLimitError(TransientError):
    """FullStory asks for a pause that is longer than we wait."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"FullStory asks to wait {retry_after:.0f} s before the next request; run again after that")
        self.retry_after = retry_after


class LinkError(TransientError):
    """A signed link is no longer good: another one is needed."""


class UnfinishedError(TransientError):
    """FullStory has been preparing an export for longer than we wait."""


class ExportError(HauserError):
    """An export could not be made or read."""


class ExportFailedError(ExportError):
    """FullStory gave up on an export."""


class CorruptBundleError(ExportError):
    """A downloaded bundle is cut short, damaged, or not JSON."""


class LoadError(HauserError):
    """The destination refused a load package, or cannot be read."""


class StatusError(HauserError):
    """What is loaded is older than allowed, or has holes, or is there twice."""


class StoppedError(HauserError):
    """SIGINT or SIGTERM arrived; the work stopped at the last safe point."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("stopped by a signal")
        self.exit_code = 128 + signal_number
