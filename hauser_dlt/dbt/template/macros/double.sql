{#- The type of numbers with a point in 64 bits. dbt's own `type_float` has 32 on DuckDB, too few for the times that load
    ids are: loads of the same two minutes would be equally old. -#}
{%- macro double() -%}
    {{ return(adapter.dispatch('double', 'fullstory')()) }}
{%- endmacro -%}


{%- macro default__double() -%}
    double precision
{%- endmacro -%}


{%- macro bigquery__double() -%}
    float64
{%- endmacro -%}
