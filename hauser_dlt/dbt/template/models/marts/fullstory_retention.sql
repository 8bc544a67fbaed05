-- A row for each week in which individuals were first seen, and each week after it in which some of them came back.
with weeks as (

    select distinct
        coalesce(devices.indv_id, events.indv_id) as indv_id,
        {{ week_of('events.event_start') }} as seen_week
    from {{ ref('stg_fullstory__events') }} as events
    left join {{ ref('fullstory_devices') }} as devices on devices.user_id = events.user_id
    where events.indv_id is not null

),

cohorts as (

    select indv_id, min(seen_week) as first_week
    from weeks
    group by indv_id

),

returned as (

    select
        cohorts.first_week,
        {{ weeks_between('cohorts.first_week', 'weeks.seen_week') }} as weeks_later
    from weeks
    inner join cohorts on cohorts.indv_id = weeks.indv_id

)

select
    first_week,
    weeks_later,
    count(*) as users,
    max(count(*)) over (partition by first_week) as cohort_users
from returned
group by first_week, weeks_later
