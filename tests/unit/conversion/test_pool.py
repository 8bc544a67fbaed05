"""Worker processes by themselves."""

import operator

import pytest

from hauser_dlt.conversion.pool import Pool
from hauser_dlt.errors import TransientError


class Unreadable:
    """Work that no process can take, as after an upgrade of the package that they are of."""

    def __reduce__(self):
        return operator.truediv, (1, 0)


def test_a_worker_that_cannot_read_its_work_ends():
    with Pool(1) as pool, pytest.raises(TransientError, match="ended by itself"):
        pool.submit(Unreadable()).result(60)
