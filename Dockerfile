# The gateway as an image: `docker build -t lakesync .`, or `docker compose up` with a Postgres.
ARG DENO_VERSION=2.9.6
FROM denoland/deno:alpine-${DENO_VERSION}

# Data, lock and secret are kept here; /data is a volume.
RUN mkdir /data && chown deno:deno /data
WORKDIR /app
COPY --chown=deno:deno deno.json deno.lock mod.ts ./
COPY --chown=deno:deno core ./core
COPY --chown=deno:deno client/deno.json ./client/deno.json
COPY --chown=deno:deno client/mod.ts ./client/mod.ts
COPY --chown=deno:deno adapters ./adapters
COPY --chown=deno:deno server ./server
# Dependencies are fetched now, so that the container starts without a network.
RUN deno install --frozen --entrypoint server/main.ts adapters/postgres/mod.ts adapters/mysql/mod.ts \
    adapters/lake/mod.ts adapters/lake/parquet/worker.ts adapters/object-store/s3.ts \
  && deno check --no-remote server/main.ts \
  && chown -R deno:deno /deno-dir

USER deno
VOLUME /data
EXPOSE 8787
ENV LAKESYNC_DATA=/data \
    LAKESYNC_HOST=0.0.0.0 \
    LAKESYNC_LOG_FORMAT=json
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD wget -q --spider "http://127.0.0.1:${LAKESYNC_PORT:-8787}/livez"
# The permission set `container` of deno.json: the network, /app to read, /data to write, and the
# variables that are read.
CMD ["deno", "run", "-P=container", "--cached-only", "--v8-flags=--max-semi-space-size=4", "server/main.ts", "serve"]
