"""A FullStory that listens on loopback: both export APIs, believable events, and every bad day of the real one."""

from hauser_dlt.simulator.events import Account
from hauser_dlt.simulator.faults import Fault
from hauser_dlt.simulator.messages import Request
from hauser_dlt.simulator.server import Simulator

__all__ = ["Account", "Fault", "Request", "Simulator"]
