{#- The value below which a share of all values lies, among the rows of a group. -#}
{%- macro percentile(column, share) -%}
    {{ return(adapter.dispatch('percentile', 'fullstory')(column, share)) }}
{%- endmacro -%}


{%- macro default__percentile(column, share) -%}
    percentile_cont({{ share }}) within group (order by {{ column }})
{%- endmacro -%}


{#- BigQuery's exact percentiles do not work on groups; these are a thousandth off at the most. -#}
{%- macro bigquery__percentile(column, share) -%}
    approx_quantiles({{ column }}, 1000)[offset({{ (share * 1000) | round | int }})]
{%- endmacro -%}
