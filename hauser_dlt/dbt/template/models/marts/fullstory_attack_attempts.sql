-- A row for each day, page and kind of attack that somebody may have attempted, by what was typed or opened.
select
    cast(events.event_start as date) as day,
    events.page_url_bare,
    case events.event_mod_suspicious
        when 1 then 'SQL injection'
        when 2 then 'cross-site scripting'
        else 'other'
    end as kind,
    count(*) as attempts,
    count(distinct events.session_key) as sessions,
    count(distinct coalesce(devices.indv_id, events.indv_id)) as users
from {{ ref('stg_fullstory__events') }} as events
left join {{ ref('fullstory_devices') }} as devices on devices.user_id = events.user_id
where events.event_mod_suspicious > 0
group by 1, 2, 3
