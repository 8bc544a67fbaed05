-- A row for each session, with the pages that it began and ended on.
with sessions as (

    select
        session_key,
        user_id,
        session_id,
        max(indv_id) as indv_id,
        max(user_app_key) as user_app_key,
        max(user_email) as user_email,
        max(user_display_name) as user_display_name,
        coalesce(min(session_start), min(event_start)) as session_start,
        max(event_start) as last_event,
        max(event_session_offset) as duration_ms,
        max(page_device) as page_device,
        max(page_browser) as page_browser,
        max(page_operating_system) as page_operating_system,
        count(*) as events,
        count(distinct page_id) as page_views,
        count(case when is_click then 1 end) as clicks,
        count(case when is_rage_click then 1 end) as rage_clicks,
        count(case when is_dead_click then 1 end) as dead_clicks,
        count(case when is_error_click then 1 end) as error_clicks
    from {{ ref('stg_fullstory__events') }}
    where session_key is not null
    group by session_key, user_id, session_id

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
