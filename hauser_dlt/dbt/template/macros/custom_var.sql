{#-
    The value of a custom variable, as text; NULL where the event does not have it, or has null.

        select {{ custom_var('evt_order.order_id_str') }} as order_id from {{ ref('stg_fullstory__events') }}

    The name is taken as it stands: a dot in it leads nowhere. Lists and objects come as JSON.
-#}
{%- macro custom_var(name, column='custom_vars') -%}
    {{ return(adapter.dispatch('custom_var', 'fullstory')(name, column)) }}
{%- endmacro -%}


{%- macro default__custom_var(name, column) -%}
    {{ exceptions.raise_compiler_error('custom_var does not know the adapter ' ~ adapter.type()) }}
{%- endmacro -%}


{#- A JSON pointer takes any name; a path would end at quotes. -#}
{%- macro duckdb__custom_var(name, column) -%}
    json_extract_string({{ column }}, '/{{ name | replace("~", "~0") | replace("/", "~1") | replace("'", "''") }}')
{%- endmacro -%}


{%- macro postgres__custom_var(name, column) -%}
    (cast({{ column }} as json) ->> '{{ name | replace("'", "''") }}')
{%- endmacro -%}


{#- Redshift answers '' for what is not there, so an empty text is NULL, too. -#}
{%- macro redshift__custom_var(name, column) -%}
    nullif(json_extract_path_text({{ column }}, '{{ name | replace("\\", "\\\\") | replace("'", "''") }}', true), '')
{%- endmacro -%}


{#- json_value is for text, numbers and truth values; lists and objects are left to json_query. -#}
{%- macro bigquery__custom_var(name, column) -%}
    {%- if '"' in name or '\\' in name -%}
        {{ exceptions.raise_compiler_error('BigQuery reads no custom variable with a " or a \\ in its name: ' ~ name) }}
    {%- endif -%}
    {%- set path = "'$$.\"" ~ (name | replace("'", "\\'")) ~ "\"'" -%}
    coalesce(json_value({{ column }}, {{ path }}), nullif(json_query({{ column }}, {{ path }}), 'null'))
{%- endmacro -%}


{#- GET takes any name, as it is; of a JSON null, the text is NULL. -#}
{%- macro snowflake__custom_var(name, column) -%}
    get(parse_json({{ column }}), '{{ name | replace("\\", "\\\\") | replace("'", "''") }}')::varchar
{%- endmacro -%}
