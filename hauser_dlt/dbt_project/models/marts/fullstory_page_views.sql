-- A row for each view of a page.
select
    page_view_key,
    max(session_key) as session_key,
    user_id,
    session_id,
    page_id,
    max(indv_id) as indv_id,
    coalesce(min(page_start), min(event_start)) as page_start,
    max(page_name) as page_name,
    max(page_url) as page_url,
    max(page_url_bare) as page_url_bare,
    max(page_referer_url) as page_referer_url,
    max(page_device) as page_device,
    max(page_browser) as page_browser,
    max(page_operating_system) as page_operating_system,
    max(page_duration) as duration_ms,
    max(page_active_duration) as active_duration_ms,
    max(page_max_scroll_depth_percent) as max_scroll_depth_percent,
    max(load_first_paint_time) as first_paint_ms,
    max(load_largest_paint_time) as largest_contentful_paint_ms,
    max(load_dom_content_time) as dom_content_ms,
    max(load_event_time) as load_ms,
    min(event_first_input_delay) as first_input_delay_ms,
    max(event_cumulative_layout_shift) as cumulative_layout_shift,
    count(*) as events,
    count(case when is_click then 1 end) as clicks,
    count(case when is_rage_click then 1 end) as rage_clicks,
    count(case when is_dead_click then 1 end) as dead_clicks,
    count(case when is_error_click then 1 end) as error_clicks
from {{ ref('stg_fullstory__events') }}
where page_view_key is not null
group by page_view_key, user_id, session_id, page_id
