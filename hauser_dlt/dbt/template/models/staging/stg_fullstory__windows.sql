-- The windows that are loaded, each with the load that owns it: the newest of those that are complete.
with complete as (

    select distinct $loads_load as load_id
    from {{ source('fullstory', 'loads') }}
    where $loads_status = 0

),

loaded as (

    select
        synced.$sync_load as load_id,
        cast(synced.$sync_load as {{ double() }}) as began,  -- a load's id is the time of its beginning
        $sync_start as window_start,
        $sync_end as window_end,
        synced.$sync_count as event_count,
        $sync_processed as loaded_at
    from {{ source('fullstory', 'windows') }} as synced
    inner join complete on complete.load_id = synced.$sync_load

),

reached as (

    select
        *,
        max(window_end) over (
            order by window_start, window_end, load_id rows between unbounded preceding and 1 preceding
        ) as loaded_until
    from loaded

),

-- Windows that overlap share a number; most have one of their own.
overlapping as (

    select
        *,
        sum(case when window_start < loaded_until then 0 else 1 end) over (
            order by window_start, window_end, load_id rows between unbounded preceding and current row
        ) as number
    from reached

),

-- A window is left to its load, unless newer loads cover all of it: each of these moments, after which they may not.
moments as (

    select load_id, window_start, began, number, window_start as moment
    from overlapping

    union all

    select older.load_id, older.window_start, older.began, older.number, newer.window_end as moment
    from overlapping as older
    inner join overlapping as newer
        on newer.number = older.number
        and newer.began > older.began
        and newer.window_end > older.window_start
        and newer.window_end < older.window_end

),

owning as (

    select distinct moments.load_id, moments.window_start
    from moments
    left join overlapping as newer
        on newer.number = moments.number
        and newer.began > moments.began
        and newer.window_start <= moments.moment
        and newer.window_end > moments.moment
    where newer.load_id is null

)

select
    loaded.load_id,
    loaded.window_start,
    loaded.window_end,
    loaded.event_count,
    loaded.loaded_at
from loaded
inner join owning
    on owning.load_id = loaded.load_id
    and owning.window_start = loaded.window_start
