-- A row for each individual, as FullStory's app counts users: all devices with the same key are one. The name is the one
-- that was last seen with them.
with sessions as (

    select
        *,
        row_number() over (
            partition by indv_id
            order by
                case when user_app_key <> '' or user_email <> '' then 0 else 1 end,
                session_start desc,
                session_key desc
        ) as from_last_named
    from {{ ref('fullstory_sessions') }}
    where indv_id is not null

)

select
    indv_id,
    max(case when from_last_named = 1 then user_app_key end) as user_app_key,
    max(case when from_last_named = 1 then user_email end) as user_email,
    max(case when from_last_named = 1 then user_display_name end) as user_display_name,
    min(session_start) as first_seen,
    max(last_event) as last_seen,
    count(distinct user_id) as devices,
    count(*) as sessions,
    sum(page_views) as page_views,
    sum(events) as events,
    sum(clicks) as clicks,
    sum(rage_clicks) as rage_clicks,
    sum(rage_incidents) as rage_incidents,
    sum(dead_clicks) as dead_clicks,
    sum(error_clicks) as error_clicks,
    sum(thrashes) as thrashes,
    sum(attack_attempts) as attack_attempts
from sessions
group by indv_id
