{#- Weeks that begin on Monday: the first day of a moment's week, and how many weeks lie between two such days. -#}
{%- macro week_of(moment) -%}
    {{ return(adapter.dispatch('week_of', 'fullstory')(moment)) }}
{%- endmacro -%}


{%- macro default__week_of(moment) -%}
    cast(date_trunc('week', {{ moment }}) as date)
{%- endmacro -%}


{%- macro bigquery__week_of(moment) -%}
    date_trunc(date({{ moment }}), isoweek)
{%- endmacro -%}


{#- Where weeks begin, for `date_trunc`, is a parameter of the session. -#}
{%- macro snowflake__week_of(moment) -%}
    dateadd(day, 1 - dayofweekiso({{ moment }}), cast({{ moment }} as date))
{%- endmacro -%}


{%- macro weeks_between(first, last) -%}
    {{ return(adapter.dispatch('weeks_between', 'fullstory')(first, last)) }}
{%- endmacro -%}


{%- macro default__weeks_between(first, last) -%}
    cast(({{ last }} - {{ first }}) / 7 as integer)
{%- endmacro -%}


{%- macro bigquery__weeks_between(first, last) -%}
    cast(date_diff({{ last }}, {{ first }}, day) / 7 as int64)
{%- endmacro -%}


{%- macro snowflake__weeks_between(first, last) -%}
    cast(datediff(day, {{ first }}, {{ last }}) / 7 as integer)
{%- endmacro -%}
