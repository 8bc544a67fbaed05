-- A row for each view of a page. What FullStory says of a page stands on each of its events; some of it grows meanwhile.
select
    events.page_view_key,
    max(events.session_key) as session_key,
    events.user_id,
    events.session_id,
    events.page_id,
    coalesce(max(devices.indv_id), max(events.indv_id)) as indv_id,
    coalesce(min(events.page_start), min(events.event_start)) as page_start,
    max(events.page_name) as page_name,
    max(events.page_url) as page_url,
    max(events.page_url_bare) as page_url_bare,
    max(events.page_referer_url) as page_referer_url,
    max(events.page_device) as page_device,
    max(events.page_browser) as page_browser,
    max(events.page_operating_system) as page_operating_system,
    max(events.page_duration) as duration_ms,
    max(events.page_active_duration) as active_duration_ms,
    max(events.page_max_scroll_depth_percent) as max_scroll_depth_percent,
    max(events.load_first_paint_time) as first_paint_ms,
    max(events.load_largest_paint_time) as largest_contentful_paint_ms,
    max(events.load_dom_content_time) as dom_content_ms,
    max(events.load_event_time) as load_ms,
    min(events.event_first_input_delay) as first_input_delay_ms,
    max(events.event_cumulative_layout_shift) as cumulative_layout_shift,
    count(*) as events,
    {{ trouble('events') }},
    count(case when events.event_type = 'navigate' and events.event_sub_type = 'reload' then 1 end) as reloads,
    count(case when events.event_type = 'navigate' and events.event_sub_type = 'back_forward' then 1 end)
        as back_forwards,
    count(case when events.event_type = 'exception' then 1 end) as exceptions,
    max(events.page_num_infos) as console_infos,
    max(events.page_num_warnings) as console_warnings,
    max(events.page_num_errors) as console_errors
from {{ ref('stg_fullstory__events') }} as events
left join {{ ref('fullstory_devices') }} as devices on devices.user_id = events.user_id
where events.page_view_key is not null
group by events.page_view_key, events.user_id, events.session_id, events.page_id
