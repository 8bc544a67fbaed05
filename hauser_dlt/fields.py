"""FullStory's export fields as data.

The names and types are those of FullStory's Segment Export API
(https://developer.fullstory.com/server/v1/segments/create-segment-export/) and of its legacy Data Export
(https://help.fullstory.com). Every field is optional in every event.
"""

import re
from typing import Literal, get_args

Kind = Literal["text", "int", "int32", "float", "bool", "timestamp", "any"]
"""`any` is a field whose type nobody has told us: a text column, where other values stand as JSON."""
DECLARABLE: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "any")

CUSTOM_VARS = "CustomVars"
EVENT_START = "EventStart"
INDIVIDUAL = "IndvId"
SESSION_REPLAY_URL = "SessionReplayUrl"

# Bookkeeping of ours on each event row: the load that brought it, and the start of its window.
LOAD_ID = "_dlt_load_id"
ROW_WINDOW = "_hauser_window"

SCHEMA_NAME = "fullstory"
"""What dlt's schema of the source is called; dlt notes it beside each load."""

SYNC_KINDS: dict[str, Kind] = {
    "ID": "int",
    "Processed": "timestamp",
    "BundleEndTime": "timestamp",
    "BundleStartTime": "timestamp",
    "EventCount": "int",
    LOAD_ID: "text",
}
"""The columns of the sync table: hauser's three, two of ours, and the load that owns the window."""

_FIELDS: dict[Kind, str] = {
    "int": """
        IndvId UserId SessionId PageId EventDuration EventSecondaryDuration EventPageOffset EventSessionOffset
        EventModFrustrated EventModDead EventModError EventModSuspicious PageDuration PageActiveDuration
        PageScreenWidth PageScreenHeight PageViewportWidth PageViewportHeight PageNumInfos PageNumWarnings
        PageNumErrors PageClusterId PageMaxScrollDepthPercent LoadDomContentTime LoadEventTime LoadFirstPaintTime
        LoadLargestPaintTime ReqStatus""",
    "int32": "PageNumEvents PageNumDerivedEvents",
    "float": "EventFirstInputDelay EventCumulativeLayoutShift",
    "timestamp": "UserCreated SessionStart EventStart PageStart",
    "text": """
        UserAppKey UserDisplayName UserEmail EventType EventSubType EventCustomName EventTargetText
        EventTargetSelector EventVarErrorKind EventVarFields EventWebSourceFileUrl PageName PageUrl PageRefererUrl
        PageIp PageLatLong PageUserAgent PageBrowser PageBrowserVersion PageDevice PagePlatform
        PageOperatingSystem ReqUrl ReqMethod""",
}
_GROUPS = ("User", "Indv", "Session", "Event", "Page", "Load", "Req")


def _ordered() -> dict[str, Kind]:
    """Return the fields, those of one group side by side, `EventStart` and `EventType` first in theirs."""
    kinds = {name: kind for kind, names in _FIELDS.items() for name in names.split()}
    group = {name: next(i for i, prefix in enumerate(_GROUPS) if name.startswith(prefix)) for name in kinds}
    return dict(sorted(kinds.items(), key=lambda item: (group[item[0]], item[0] not in ("EventStart", "EventType"))))


KNOWN: dict[str, Kind] = _ordered()
"""The fields of web events, without CustomVars: name -> kind."""

MOBILE: dict[str, Kind] = dict.fromkeys(
    (
        "AppName",
        "AppPackageName",
        "AppDeviceModel",
        "AppDeviceVendor",
        "AppVersion",
        "AppOsVersion",
        "AppViewName",
        "EventMobileSourceFile",
    ),
    "text",
)
"""The fields of FullStory for mobile apps: an account feature, so they are asked for on request only."""

SELECTOR_TOKENS = "EventTargetSelectorTok"
"""A click's target as tokens, percent-encoded (`.no%2Djs`): a field of its own beside `EventTargetSelector`.

It is asked for on request, and where a table has its column, as hauser does (`specialCasedFields` in its
warehouse/schema.go). Legacy bundles hold it unasked.
"""

RENAMED = {"PageAgent": "PageUserAgent"}
"""Names of the legacy Data Export -> today's names."""

FORMER = {new: old for old, new in RENAMED.items()}
"""Today's names -> those of the legacy Data Export, which tables of the Go hauser still have."""

_TODAYS = {old.lower(): new for old, new in RENAMED.items()}


def canonical(name: str) -> str:
    """Return the name that a field has today."""
    return _TODAYS.get(name.lower(), name)


CUSTOM_TOKENS = ("user_*", "evt_*", "page_*")
"""What asks for all custom variables in a list of export fields."""

_FIELD_NAME = re.compile(r"(?=.*[a-z])[A-Z][A-Za-z0-9]{0,127}")


def is_field_name(name: str) -> bool:
    """Tell whether a name has the form of FullStory's own: PascalCase, without underscores."""
    return _FIELD_NAME.fullmatch(name) is not None


def column_of(variable: str) -> str:
    """Return what the column of a custom variable is called: as dlt would call it in SQL that keeps case."""
    return re.sub(r"__+", "_", re.sub(r"[^A-Za-z0-9_]", "_", variable)).rstrip("_")


USER_VARS = "UserVars"
"""Where an individual's custom variables stand, as an object."""

INDIVIDUALS: dict[str, Kind] = {
    INDIVIDUAL: "int",
    "Created": "timestamp",
    **dict.fromkeys(("Uid", "DisplayName", "Email"), "text"),
    **dict.fromkeys(("NumSessions", "NumPages", "NumEvents", "TotalSec", "ActiveSec"), "int"),
    **dict.fromkeys(("AvgSessionSec", "AvgSessionActiveSec"), "float"),
    **dict.fromkeys(("MaxSessionSec", "LastSessionNumPages", "LastSessionNumEvents"), "int"),
    **dict.fromkeys(("LastSessionSec", "LastSessionActiveSec"), "int"),
    **dict.fromkeys(("LastSessionStart", "LastEventStart"), "timestamp"),
    **dict.fromkeys(("LastPage", "LastIp", "LastLatLong", "LastBrowser", "LastDevice"), "text"),
    **dict.fromkeys(("LastPlatform", "LastOperatingSystem"), "text"),
}
"""The fields of individuals, without their custom variables."""

SEGMENTS: dict[str, Kind] = {**dict.fromkeys(("id", "name", "creator", "url"), "text"), "created": "timestamp"}
"""What FullStory lists of a segment (https://developer.fullstory.com/server/v1/segments/)."""
