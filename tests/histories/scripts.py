"""The commands of random histories: between them they do what commands do to those who run them."""

STARTS = (
    "sleep infinity",
    "sleep infinity",
    "trap '' TERM; sleep infinity",
    "trap 'sleep 3; exit 4' TERM; sleep infinity",
    "(trap '' TERM; sleep infinity) & sleep 20; exit 3",
    "sleep 2",
    "sleep 5; exit 1",
    "setsid sh -c 'sleep infinity' & sleep infinity",
    "#: prepare 30\nsleep infinity",
    "#: cannot start no such directory\ntrue",
    "#: unkillable 80\ntrap '' TERM; sleep infinity",
    "#: unkillable 80\n(trap '' TERM; sleep infinity) & sleep 5",
)
READIES = (
    "",
    "",
    "true",
    "sleep 2; false",
    "sleep 1; true",
    "trap '' TERM; sleep infinity",
    "(trap '' TERM; sleep infinity) & true",
    "#: prepare 5\ntrue",
)
STOPS = (
    "",
    "",
    "sleep 2",
    "sleep 1; exit 5",
    "trap '' TERM; sleep infinity",
    "(trap '' TERM; sleep infinity) & true",
    "#: cannot start no such directory\ntrue",
)
TIMEOUTS = (0.0, 0.0, 3.0, 40.0)
TASKS = (
    "true",
    "sleep 3",
    "sleep 3",
    "sleep 4; exit 2",
    "sleep infinity",
    "trap '' TERM; sleep infinity",
    "trap 'exit 0' TERM; sleep infinity",
    "(trap '' TERM; sleep infinity) & sleep 1",
    "#: unkillable 80\n(trap '' TERM; sleep infinity) & sleep 1",
    "#: prepare 30\nsleep 1",
    "#: cannot start no such directory\ntrue",
)
