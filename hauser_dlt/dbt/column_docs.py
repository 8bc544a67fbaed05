"""What the columns hold, in a sentence or two each, for those who read the tables: name -> description.

Of FullStory's fields, as its documentation defines them: the pages around
https://developer.fullstory.com/server/v1/segments/export-fields/, and the comments on the fields in FullStory's own SDK
(`projects/sdk/src/segment-export.ts` in fullstorydev/fullstory-anywhere-activation).
"""

from hauser_dlt.fields import CUSTOM_VARS, LOAD_ID, ROW_WINDOW, SESSION_REPLAY_URL

_WEB = "derived from the user agent; the same on each event of the page"
_RUNNING = "A running total of the page so far: take the maximum per page, and never add rows up."
_TOTAL = "A total of the page that each of its events repeats: take it once per page, and never add rows up."
_LOAD = "Only on events of type load"
_REQUEST = "Only on events of type request"

EVENTS = {
    "IndvId": (
        "The individual: all users (UserId) with the same UserAppKey are one; an anonymous browser is one of its own. "
        "FullStory may link a user to another individual later: the one exported last is right."
    ),
    "UserId": "The cookie of one browser or device. A person has several, and gets a new one when cookies are cleared.",
    "UserAppKey": (
        "The id that your application gave the user with FS.identify; FullStory's app shows it as User ID. "
        "Empty or NULL where nobody was identified."
    ),
    "UserDisplayName": "The user's name, as your application set it.",
    "UserEmail": "The user's e-mail address, as your application set it; may be empty.",
    "UserCreated": "When the cookie of UserId was first seen, in UTC.",
    "SessionId": "The session, within its user: only UserId and SessionId together identify a session.",
    "SessionStart": "When the session began, in UTC.",
    "EventStart": "When the event happened, in UTC.",
    "EventType": (
        "What happened: click, navigate, load, custom, request and others. "
        "pageview marks the end of a page, not its beginning."
    ),
    "EventSubType": (
        "The kind within the type. navigate: navigate, reload, back_forward (how the page was reached). "
        "seen: rendered (was in the page, but never visible), visible. console_message: error. exception: uncaught. "
        "pinch_gesture: pinch_scale_in, pinch_scale_out."
    ),
    "EventCustomName": "The name of a custom event (EventType custom), as your application sent it.",
    "EventTargetText": (
        "The text of the element that the event happened to and of its children, the message of an exception or of the "
        "console, or what was typed, copied or pasted. Long text may be cut short by FullStory."
    ),
    "EventTargetSelector": "The CSS selector of the element that the event happened to, from the root of the page on.",
    "EventTargetSelectorTok": (
        "The same selector in tokens, percent-encoded. In legacy data exports, and where it is asked for."
    ),
    "EventDuration": (
        "How long the event lasted, in milliseconds. Of a watched element (EventType seen): how long it was rendered, "
        "whether or not anybody could see it."
    ),
    "EventSecondaryDuration": (
        "A second duration, in milliseconds. Of a watched element (EventType seen): how long it was visible."
    ),
    "EventPageOffset": "Milliseconds from the loading of the page to the event.",
    "EventSessionOffset": "Milliseconds from the beginning of the session to the event.",
    "EventModFrustrated": (
        "Clicks only. In a series of rage clicks, the number of the click: 1, 2, 3 and so on. 0 or NULL elsewhere. "
        "Count rage clicks where it is greater than 0, and rage incidents (series) where it is 1."
    ),
    "EventModDead": "Clicks only. 1: nothing happened after the click. 0 or NULL: it was no dead click.",
    "EventModError": (
        "Clicks only. The click led to an error. 1: an error, 2: an error on the console, 3: an uncaught exception. "
        "0 or NULL: it led to none. Before 2021-06-21 the kinds were not told apart."
    ),
    "EventModSuspicious": (
        "What was typed, or the address that was opened, looks like an attack. 1: SQL injection, "
        "2: cross-site scripting. 0 or NULL: nothing suspicious."
    ),
    "EventVarErrorKind": "Where EventType ends in _error: what went wrong, such as a rate limit or a bad property.",
    "EventVarFields": "The custom properties that such an error is about.",
    "EventWebSourceFileUrl": "The JavaScript file that an exception comes from. Only on events of type exception.",
    "EventFirstInputDelay": (
        "How long the page's first input had to wait, in milliseconds (FID). Only on events of type first_input_delay."
    ),
    "EventCumulativeLayoutShift": (
        "The page's layout shift score so far (CLS, no unit). Only on events of type cumulative_layout_shift: "
        "take the maximum per page."
    ),
    "PageId": "One loading of a page, within its session: only UserId, SessionId and PageId together identify it.",
    "PageName": "The page's name as your application set it with FS('setProperties'). It is not a Defined Page.",
    "PageStart": "When the page began, in UTC.",
    "PageDuration": f"How long the user was on the page, in milliseconds. {_TOTAL}",
    "PageActiveDuration": (
        f"How long the user was active on the page (moved the mouse, typed, clicked), in milliseconds. {_TOTAL}"
    ),
    "PageUrl": "The full address of the page that the event happened on.",
    "PageRefererUrl": "The page that the user came from; empty where it was typed in, or is not told.",
    "PageIp": "The IP address of the session; may be empty, where FullStory is told not to record it.",
    "PageLatLong": "Roughly where that address is, as latitude and longitude: often no closer than the city.",
    "PageUserAgent": "The full user agent of the browser or app.",
    "PageBrowser": f"The browser, {_WEB}.",
    "PageBrowserVersion": f"The browser's version, {_WEB}.",
    "PageDevice": f"The type of device, such as Desktop or Mobile, {_WEB}.",
    "PagePlatform": "The platform that the session was recorded on, such as Web.",
    "PageOperatingSystem": f"The operating system, {_WEB}.",
    "PageScreenWidth": "The screen's width, in CSS pixels.",
    "PageScreenHeight": "The screen's height, in CSS pixels.",
    "PageViewportWidth": "The width of the browser's viewport, in pixels.",
    "PageViewportHeight": "The height of the browser's viewport, in pixels.",
    "PageNumEvents": f"How many events happened on the page. {_TOTAL}",
    "PageNumDerivedEvents": (
        "How many events of the page FullStory made itself, such as those about rate limits and invalid arguments. "
        f"{_TOTAL}"
    ),
    "PageNumInfos": f"How often console.log() and console.info() were called. {_RUNNING}",
    "PageNumWarnings": f"How often console.warn() was called. {_RUNNING}",
    "PageNumErrors": f"How often console.error() was called, plus JavaScript errors. {_RUNNING}",
    "PageClusterId": "FullStory's internal number for a group of similar pages.",
    "PageMaxScrollDepthPercent": (
        "How far down the user scrolled, in percent of the page. Only on events of type navigate: "
        "take the maximum per page."
    ),
    "LoadDomContentTime": f"Milliseconds until DOMContentLoaded: the document is parsed. {_LOAD}.",
    "LoadEventTime": f"Milliseconds until the load event: the page and all that it needs is there. {_LOAD}.",
    "LoadFirstPaintTime": f"Milliseconds until the First Contentful Paint (FCP). {_LOAD}.",
    "LoadLargestPaintTime": f"Milliseconds until the Largest Contentful Paint (LCP). {_LOAD}.",
    "ReqUrl": f"The address of the request (XHR). {_REQUEST}.",
    "ReqMethod": f"The HTTP method of the request. {_REQUEST}.",
    "ReqStatus": f"The HTTP status of the answer. {_REQUEST}.",
    "AppName": "The mobile app's display name.",
    "AppPackageName": "The mobile app's bundle id, such as com.example.shop.",
    "AppDeviceModel": "The model of the mobile device.",
    "AppDeviceVendor": "The maker of the mobile device.",
    "AppVersion": "The mobile app's version.",
    "AppOsVersion": "The version of the mobile device's operating system.",
    "AppViewName": "The app's view: the UIViewController (iOS) or Activity (Android), unless your app names it.",
    "EventMobileSourceFile": "The app's source file that an exception comes from. Only on events of type exception.",
    CUSTOM_VARS: "All custom variables, as one JSON object; {} if there are none.",
    SESSION_REPLAY_URL: "Where the session is replayed in FullStory's app; NULL without a user or a session.",
    LOAD_ID: "The load that brought the row; NULL in rows of the Go hauser.",
    ROW_WINDOW: "The start of the window that the row came in; NULL in rows of the Go hauser.",
}
WINDOWS = {
    "ID": "The bundle's id in FullStory's legacy data export; -1 for segment exports.",
    "Processed": "When the window was loaded.",
    "BundleEndTime": "The first moment that is not in the window any more.",
    "BundleStartTime": "The first moment of the window; NULL in rows of the Go hauser.",
    "EventCount": "How many events were loaded into it; NULL in rows of the Go hauser.",
    LOAD_ID: "The load that owns the window, once it is complete; NULL in rows of the Go hauser.",
    "_dlt_id": "dlt's own id of the row.",
}
OTHER = "A column that hauser-dlt does not know: a new field of FullStory, or one of your own."
