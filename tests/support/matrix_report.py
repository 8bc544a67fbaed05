"""A plugin of pytest: prints the cells of the crash matrix."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the cells of the crash matrix, a line for each step of a destination."""
    reports = [report for found in terminalreporter.stats.values() for report in found if hasattr(report, "nodeid")]
    table: dict[tuple[str, str, str], dict[str, str]] = {}
    for report in reports:
        if getattr(report, "when", "") == "call":
            for destination, scenario, at, disk, good in (v for k, v in report.user_properties if k == "cell"):
                table.setdefault((destination, scenario, at), {})[disk] = "ok" if good else "FAILED"
    if not table:
        return
    terminalreporter.section("crash matrix: destination x step x disk")
    for (destination, scenario, at), cells in sorted(table.items(), key=lambda item: item[0][:2]):
        disks = "  ".join(f"disk {disk}: {good}" for disk, good in sorted(cells.items()))
        terminalreporter.write_line(f"{destination:16}{scenario:13}{at:45}{disks}")
    results = [good for cells in table.values() for good in cells.values()]
    failed = results.count("FAILED")
    terminalreporter.write_line(f"{len(results)} cells, {f'{failed} FAILED' if failed else 'all green'}")
