# The agent as an image, for environments that are containers: `make image`, or scripts/build-wheels and docker build.
# BASE is any image with glibc and Python 3.11 to 3.13 as `python3`; nothing is fetched while this is built.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
COPY dist/wheels /wheels
# No `python` and no pip: this folder comes last on the PATH of commands, and must not lend them its own.
RUN python3 -m venv --without-pip /opt/runner-agent \
 && cd /opt/runner-agent/bin \
 && rm -f python *ctivate* \
 && ./python3 "$(echo /wheels/pip-*.whl)/pip" install --quiet --root-user-action=ignore --disable-pip-version-check \
      --no-index --find-links /wheels --no-cache-dir runner-agent

FROM ${BASE}
COPY --from=build /opt/runner-agent /opt/runner-agent
# Whoever the container runs as makes a state folder of its own in the volume.
RUN ln -s /opt/runner-agent/bin/runner-agent /usr/bin/runner-agent \
 && mkdir -p /var/lib/runner-agent /workspace \
 && chmod 1777 /var/lib/runner-agent /workspace
ENV RUNNER_AGENT_STATE_DIR=/var/lib/runner-agent/state
VOLUME /var/lib/runner-agent
WORKDIR /workspace
# Ready is: recovery is complete and the API answers. Not the command line: this is asked for ever, and costs a tenth.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["/opt/runner-agent/bin/python3", "-I", "-S", "-c", \
  "import os, socket, sys; \
   s = socket.socket(socket.AF_UNIX); \
   s.connect(os.environ['RUNNER_AGENT_STATE_DIR'] + '/api.sock'); \
   s.sendall(b'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'); \
   sys.exit(b' 200 ' not in s.recv(99))"]
STOPSIGNAL SIGTERM
# As process 1 it makes room for a small one that reaps orphans and starts the agent again should it crash.
ENTRYPOINT ["/opt/runner-agent/bin/runner-agent"]
CMD ["serve"]
