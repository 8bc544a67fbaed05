{#- What the staging models share: which windows are new to a table of events, and which events are no longer owned. -#}

{%- macro not_yet_in(relation) -%}
    coalesce(loaded.event_count, 1) > 0
    and not exists (
        select 1
        from {{ relation }} as known
        where known.load_id = loaded.load_id
            and known.window_start = loaded.window_start
    )
{%- endmacro -%}


{#- The first and the last moment of the windows that are new, as constants: only these keep a warehouse to the days
    that they name. None, if there are no such windows. -#}
{%- macro new_stretch(relation) -%}
    {%- set query -%}
        select min(window_start) as first_moment, max(window_end) as last_moment
        from {{ ref('stg_fullstory__windows') }} as loaded
        where {{ not_yet_in(relation) }}
    {%- endset -%}
    {%- set row = run_query(query).rows[0] if execute else [none, none] -%}
    {{ return(none if row[0] is none else (
        row[0].strftime('%Y-%m-%d %H:%M:%S'),
        (row[1] + modules.datetime.timedelta(seconds=1)).strftime('%Y-%m-%d %H:%M:%S'),
    )) }}
{%- endmacro -%}


{#- The stretches without gaps that hauser-dlt has loaded: no event of the Go hauser's counts there any more. -#}
{%- macro loaded_stretches() -%}
    select 'hauser' as instead_of, min(window_start) as stretch_start, max(window_end) as stretch_end
    from (
        select
            window_start,
            window_end,
            sum(case when window_start <= loaded_until then 0 else 1 end) over (
                order by window_start, window_end, load_id rows between unbounded preceding and current row
            ) as number
        from (
            select
                *,
                max(window_end) over (
                    order by window_start, window_end, load_id rows between unbounded preceding and 1 preceding
                ) as loaded_until
            from {{ ref('stg_fullstory__windows') }}
        ) as reached
    ) as numbered
    group by number
{%- endmacro -%}


{#- What a run removes once the new events are in; a run that dies in between is made good by the next. -#}
{%- macro drop_replaced_events() -%}
    {%- if var('fullstory_incremental') and is_incremental() -%}
    delete from {{ this }}
    where load_id is not null
        and not exists (
            select 1
            from {{ ref('stg_fullstory__windows') }} as loaded
            where loaded.load_id = {{ this.identifier }}.load_id
                and loaded.window_start = {{ this.identifier }}.window_start
        )
    {%- endif -%}
{%- endmacro -%}


{%- macro drop_inherited_events() -%}
    {%- if var('fullstory_incremental') and is_incremental() -%}
    delete from {{ this }}
    where load_id is null
        and exists (
            select 1
            from ({{ loaded_stretches() }}) as stretches
            where stretches.instead_of = coalesce({{ this.identifier }}.load_id, 'hauser')
                and stretches.stretch_start <= {{ this.identifier }}.event_start
                and stretches.stretch_end > {{ this.identifier }}.event_start
        )
    {%- endif -%}
{%- endmacro -%}
