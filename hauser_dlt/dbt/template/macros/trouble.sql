{#- What is counted of clicks and of trouble, among the rows of a group of staged events. FullStory marks a click that is
    not affected with 0 or not at all, and numbers the clicks of a series of rage clicks: the first one is the incident. -#}
{%- macro trouble(events) -%}
    count(case when {{ events }}.is_click then 1 end) as clicks,
    {{ signals(events) }},
    count(case when {{ events }}.event_mod_suspicious > 0 then 1 end) as attack_attempts
{%- endmacro -%}


{%- macro signals(events) -%}
    count(case when {{ events }}.is_rage_click then 1 end) as rage_clicks,
    count(case when {{ events }}.is_rage_click and {{ events }}.event_mod_frustrated = 1 then 1 end) as rage_incidents,
    count(case when {{ events }}.is_dead_click then 1 end) as dead_clicks,
    count(case when {{ events }}.is_error_click then 1 end) as error_clicks,
    count(case when {{ events }}.event_type = 'thrash' then 1 end) as thrashes
{%- endmacro -%}
