-- The windows that overlap another one: some of their events may be there twice, until they are loaded again.
{{ config(severity='warn') }}

select *
from (
    select
        window_start,
        window_end,
        lag(window_end) over (order by window_start, window_end) as window_end_before
    from {{ ref('stg_fullstory__windows') }}
) as windows
where window_start < window_end_before
