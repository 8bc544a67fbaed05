-- The events of the windows that are loaded, and those that the Go hauser loaded before; nothing half-loaded, and
-- nothing twice. All times are UTC.
{{
    config(
        materialized='incremental' if var('fullstory_incremental') else 'view',
        on_schema_change='append_new_columns',
        post_hook=['{{ drop_replaced_events() }}', '{{ drop_inherited_events() }}']$layout
    )
}}

{% set growing = var('fullstory_incremental') and is_incremental() -%}

with windows as (

    select load_id, window_start
    from {{ ref('stg_fullstory__windows') }} as loaded
    {%- if growing %}
    where {{ not_yet_in(this) }}
    {%- endif %}

),

events as (

    select
$columns
    from {{ source('fullstory', 'events') }}
    {%- if growing %}
    where $load is not null$bounds
    {%- endif %}

),

owned as (

    select events.*
    from events
    {% if growing -%}
    inner join windows
        on windows.load_id = events.load_id
        and windows.window_start = events.window_start
    {%- else -%}
    left join windows
        on windows.load_id = events.load_id
        and windows.window_start = events.window_start
    left join ({{ loaded_stretches() }}) as stretches
        on stretches.instead_of = coalesce(events.load_id, 'hauser')
        and stretches.stretch_start <= events.event_start
        and stretches.stretch_end > events.event_start
    where windows.load_id is not null
        or (events.load_id is null and stretches.instead_of is null)
    {%- endif %}

)

select
    *,
    coalesce(cast(user_id as {{ dbt.type_string() }}), '')
        || ':' || cast(session_id as {{ dbt.type_string() }}) as session_key,
    coalesce(cast(user_id as {{ dbt.type_string() }}), '')
        || ':' || cast(session_id as {{ dbt.type_string() }})
        || ':' || cast(page_id as {{ dbt.type_string() }}) as page_view_key,
    {{ dbt.split_part(dbt.split_part('page_url', "'#'", 1), "'?'", 1) }} as page_url_bare,
    coalesce(event_type = 'click', false) as is_click,
    coalesce(event_type = 'click' and event_mod_frustrated > 0, false) as is_rage_click,
    coalesce(event_type = 'click' and event_mod_dead > 0, false) as is_dead_click,
    coalesce(event_type = 'click' and event_mod_error > 0, false) as is_error_click
from owned
