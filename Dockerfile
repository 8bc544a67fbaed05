# hauser-dlt as a container: docker build --tag hauser-dlt . ; docs/scheduling.md tells how to run it.
FROM python:3.13-slim AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY hauser_dlt hauser_dlt
RUN python -m venv /opt/hauser-dlt \
    && /opt/hauser-dlt/bin/pip install --no-cache-dir --constraint constraints.txt '.[azure,bigquery,delta,iceberg,postgres,redshift,sentry,snowflake]'

FROM python:3.13-slim
COPY --from=build /opt/hauser-dlt /opt/hauser-dlt
RUN useradd --uid 10001 --create-home --home-dir /srv/hauser hauser
ENV PATH=/opt/hauser-dlt/bin:$PATH \
    PYTHONUNBUFFERED=1
# a number, so that Kubernetes can tell that it is not root
USER 10001
WORKDIR /srv/hauser
ENTRYPOINT ["hauser-dlt"]
CMD ["run"]
