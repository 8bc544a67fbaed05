-- A row for each day, page and element on which people clicked in vain: in rage, without effect, or into an error.
select
    cast(event_start as date) as day,
    page_url_bare,
    event_target_selector,
    event_target_text,
    count(case when is_rage_click then 1 end) as rage_clicks,
    count(case when is_dead_click then 1 end) as dead_clicks,
    count(case when is_error_click then 1 end) as error_clicks,
    count(distinct session_key) as sessions,
    count(distinct indv_id) as users
from {{ ref('stg_fullstory__events') }}
where is_rage_click or is_dead_click or is_error_click
group by 1, 2, 3, 4
