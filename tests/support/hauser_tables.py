"""Tables as the Go hauser makes them."""

import duckdb


def make_tables(target, *statements):
    """Make a schema and tables on DuckDB or Postgres."""
    schema = f'CREATE SCHEMA "{target.dataset}"'
    if target.kind == "duckdb":
        with duckdb.connect(str(target.database)) as connection:
            for statement in (schema, f'USE "{target.dataset}"', *statements):
                connection.execute(statement)
        return
    for statement in (schema, *statements):
        target.query(statement)


# The Go hauser's columns with its types, as its warehouse/schema.go has them: int64 but for those that are named.
_TEXT = """
    UserAppKey UserDisplayName UserEmail EventType EventSubType EventCustomName EventTargetText EventTargetSelector
    EventVarErrorKind EventVarFields EventWebSourceFileUrl PageName PageUrl PageRefererUrl PageIp PageLatLong
    PageUserAgent PageBrowser PageBrowserVersion PageDevice PagePlatform PageOperatingSystem ReqUrl ReqMethod CustomVars
"""


_INT64 = """
    IndvId UserId SessionId PageId EventPageOffset EventSessionOffset EventModFrustrated EventModDead EventModError
    EventModSuspicious EventFirstInputDelay PageDuration PageActiveDuration PageScreenWidth PageScreenHeight
    PageViewportWidth PageViewportHeight PageNumInfos PageNumWarnings PageNumErrors PageClusterId
    PageMaxScrollDepthPercent LoadDomContentTime LoadEventTime LoadFirstPaintTime LoadLargestPaintTime ReqStatus
"""


HAUSERS = {
    **dict.fromkeys(_INT64.split(), "BIGINT"),
    **dict.fromkeys(_TEXT.split(), "TEXT"),
    **dict.fromkeys(["UserCreated", "EventStart", "SessionStart", "PageStart"], "TIMESTAMP"),
    "EventCumulativeLayoutShift": "DOUBLE PRECISION",
    **dict.fromkeys(["PageNumEvents", "PageNumDerivedEvents"], "INTEGER"),
}
