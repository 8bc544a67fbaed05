-- A row for each day, page and element at which people were frustrated: clicked in rage, without effect or into an error,
-- or moved the mouse about erratically.
select
    cast(events.event_start as date) as day,
    events.page_url_bare,
    events.event_target_selector,
    events.event_target_text,
    {{ signals('events') }},
    count(distinct events.session_key) as sessions,
    count(distinct coalesce(devices.indv_id, events.indv_id)) as users
from {{ ref('stg_fullstory__events') }} as events
left join {{ ref('fullstory_devices') }} as devices on devices.user_id = events.user_id
where events.is_rage_click or events.is_dead_click or events.is_error_click or events.event_type = 'thrash'
group by 1, 2, 3, 4
