# The server, or with `ivr work` as its command the worker. docker-compose.yml shows both.

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /srv/ivr
COPY requirements/run.txt requirements/run.txt
RUN /srv/ivr/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md ./
COPY ivr ivr
COPY tools tools
RUN /srv/ivr/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/nps-ivr --create-home nps-ivr
COPY --from=build /srv/ivr /srv/ivr
COPY --chmod=755 manage_failed_leads.py view_succeeded_leads.py /srv/ivr/bin/
ENV PATH=/srv/ivr/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 LOG_FORMAT=json
USER nps-ivr
WORKDIR /var/lib/nps-ivr
EXPOSE 8000
# Calls may end before the container does: give `docker stop` as long as systemd gives, 210 s.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
CMD ["ivr", "serve"]
