-- The windows that overlap the one before: their events may be there twice.
select *
from (
    select
        window_start,
        window_end,
        lag(window_end) over (order by window_start, window_end) as window_end_before
    from {{ ref('stg_fullstory__windows') }}
) as windows
where window_start < window_end_before
