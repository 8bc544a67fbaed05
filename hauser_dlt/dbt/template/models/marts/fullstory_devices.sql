-- A row for each browser or device, with the individual behind it. FullStory links them after the fact, so that older
-- events still name another individual: what was exported last is right. All devices with the same key are one individual.
with seen as (

    select
        user_id,
        indv_id,
        user_app_key,
        event_start,
        -- a load's id is the time of its beginning; the Go hauser's events have none, and are older
        coalesce(cast(load_id as {{ double() }}), 0) as exported
    from {{ ref('stg_fullstory__events') }}
    where user_id is not null and indv_id is not null

),

numbered as (

    select
        *,
        nullif(max(user_app_key) over (partition by user_id), '') as own_app_key,
        min(event_start) over (partition by user_id) as first_seen,
        max(event_start) over (partition by user_id) as last_seen,
        row_number() over (partition by user_id order by exported desc, event_start desc, indv_id desc) as from_last
    from seen

),

linked as (

    select
        user_id,
        indv_id,
        exported,
        max(own_app_key) over (partition by indv_id) as user_app_key,
        first_seen,
        last_seen
    from numbered
    where from_last = 1

),

named as (

    select
        *,
        row_number() over (
            partition by user_app_key
            order by exported desc, last_seen desc, indv_id desc
        ) as from_last
    from linked
    where user_app_key is not null

)

select
    linked.user_id,
    coalesce(named.indv_id, linked.indv_id) as indv_id,
    linked.user_app_key,
    linked.first_seen,
    linked.last_seen
from linked
left join named
    on named.user_app_key = linked.user_app_key
    and named.from_last = 1
