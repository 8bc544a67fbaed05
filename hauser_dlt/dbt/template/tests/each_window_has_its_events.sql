-- The windows that do not have as many events as were loaded into them.
with counted as (

    select load_id, window_start, count(*) as events
    from {{ ref('stg_fullstory__events') }}
    where load_id is not null
    group by load_id, window_start

)

select
    windows.window_start,
    windows.event_count,
    coalesce(counted.events, 0) as events
from {{ ref('stg_fullstory__windows') }} as windows
left join counted
    on counted.load_id = windows.load_id
    and counted.window_start = windows.window_start
where windows.event_count <> coalesce(counted.events, 0)
