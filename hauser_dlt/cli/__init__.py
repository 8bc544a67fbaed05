"""The command `hauser-dlt`: parse, call, print. Heavy imports happen inside the commands."""

from hauser_dlt.cli import check, dbt, demo, init, reload, run, status
from hauser_dlt.cli.group import main

__all__ = ["main"]

for _command in (check.check, dbt.dbt, demo.demo, init.init, reload.reload, run.run, status.status):
    main.add_command(_command)
