-- A row for each session, with the pages that it began and ended on.
with sessions as (

    select
        events.session_key,
        events.user_id,
        events.session_id,
        coalesce(max(devices.indv_id), max(events.indv_id)) as indv_id,
        max(events.user_app_key) as user_app_key,
        max(events.user_email) as user_email,
        max(events.user_display_name) as user_display_name,
        coalesce(min(events.session_start), min(events.event_start)) as session_start,
        max(events.event_start) as last_event,
        max(events.event_session_offset) as duration_ms,
        max(events.page_device) as page_device,
        max(events.page_browser) as page_browser,
        max(events.page_operating_system) as page_operating_system,
        count(*) as events,
        count(distinct events.page_view_key) as page_views,
        {{ trouble('events') }}
    from {{ ref('stg_fullstory__events') }} as events
    left join {{ ref('fullstory_devices') }} as devices on devices.user_id = events.user_id
    where events.session_key is not null
    group by events.session_key, events.user_id, events.session_id

),

pages as (

    select
        session_key,
        page_url_bare,
        row_number() over (partition by session_key order by page_start, page_view_key) as from_first,
        row_number() over (partition by session_key order by page_start desc, page_view_key desc) as from_last
    from {{ ref('fullstory_page_views') }}

)

select
    sessions.*,
    entry.page_url_bare as entry_page_url_bare,
    leaving.page_url_bare as exit_page_url_bare
from sessions
left join pages as entry
    on entry.session_key = sessions.session_key
    and entry.from_first = 1
left join pages as leaving
    on leaving.session_key = sessions.session_key
    and leaving.from_last = 1
