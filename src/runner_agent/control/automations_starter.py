"""The automations file that somebody begins with."""

STARTER = """\
# Automations of this environment: what runs in it, and when.
# Check it with `runner-agent automations validate`, apply it with `runner-agent automations update`,
# or run everything in it with `runner-agent up`.

services:  # long-running commands
  web:  # the reference: what commands and other entries call it by
    name: Web server
    description: Serves the workspace on port 8000
    # What starts it: manual (a start button), postMachineStart, postDevcontainerStart, postEnvironmentStart,
    # prebuild. Without any it is started by hand.
    triggeredBy: [postEnvironmentStart]
    commands:
      # Runs until it is stopped, in the foreground: no & and no `docker compose up -d`.
      start: python3 -m http.server 8000
      # Exits 0 once the service can be used; run again every second until then.
      ready: python3 -c 'import socket; socket.create_connection(("localhost", 8000), 2)'
      # stop: instead of SIGTERM to `start`. It returns when the service has ended, as `pg_ctl stop -w` does:
      #       what still runs then is killed at once.
    # How long `ready` may take before the service has failed.
    readinessTimeout: 1m

tasks:  # commands that run to their end
  install:
    name: Install dependencies
    triggeredBy: [prebuild]
    command: |
      echo "install what the workspace needs, such as: npm ci"

  test:
    name: Run the tests
    triggeredBy: [manual]
    dependsOn: [install, web]  # tasks that have to succeed first, services that have to be up
    command: |
      echo "run the tests, such as: npm test"
    # runsOn: {docker: {image: "node:22"}}   in a container of its own
"""
