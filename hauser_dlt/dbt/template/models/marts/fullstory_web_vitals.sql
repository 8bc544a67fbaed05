-- A row for each day, page, device and web vital; what is good or poor, https://web.dev/articles/vitals says.
{% set vitals = [
    ('LCP', 'largest_contentful_paint_ms', 2500, 4000),
    ('FID', 'first_input_delay_ms', 100, 300),
    ('CLS', 'cumulative_layout_shift', 0.1, 0.25),
] -%}

with measured as (

    {% for vital, column, good, poor in vitals -%}
    select
        cast(page_start as date) as day,
        page_url_bare,
        page_device,
        '{{ vital }}' as vital,
        cast({{ column }} as {{ double() }}) as measure,
        {{ good }} as good_until,
        {{ poor }} as poor_above
    from {{ ref('fullstory_page_views') }}
    where {{ column }} is not null
    {% if not loop.last %}
    union all

    {% endif -%}
    {% endfor %}
)

select
    day,
    page_url_bare,
    page_device,
    vital,
    count(*) as page_views,
    {{ percentile('measure', 0.75) }} as p75,
    count(case when measure <= good_until then 1 end) as good,
    count(case when measure > good_until and measure <= poor_above then 1 end) as needs_improvement,
    count(case when measure > poor_above then 1 end) as poor
from measured
group by 1, 2, 3, 4
