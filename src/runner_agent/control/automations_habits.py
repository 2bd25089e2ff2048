"""What people write out of habit from other formats: the key or trigger meant here, or why there is none.

Keys are squeezed (lower case, without `-`, `_`, `.` and spaces) before they are looked up.
"""

# long: a table of words, to be read one group at a time

from collections.abc import Mapping

Words = Mapping[str, str]


def _each(words: str, meaning: str) -> dict[str, str]:
    return dict.fromkeys(words.split(), meaning)


_OLD = "belongs to .gitpod.yml"
_DEVCONTAINER = "belongs to devcontainer.json"
TOP: Words = {
    **_each("version apiversion schema schemaversion", "an automations file carries no version; remove it"),
    **_each(
        "automations workflows workflow jobs steps actions pipelines",
        "there are no workflows here; describe services and tasks by reference, each with its triggeredBy",
    ),
    **_each(
        "env environment variables envfile",
        "a file holds no environment variables; set them in the commands or, by the API, in the specs",
    ),
    **_each(
        "include includes import imports extends",
        "an automations file includes no other; apply each with runner-agent automations update FILE",
    ),
    **_each(
        "vars dotenv anchors inputs inputvalues",
        "a file holds no variables; set them in the commands, and use YAML anchors within the file",
    ),
    **_each(
        "silent method run interval output shell shelloptions", "belongs to another tool's file; remove it"
    ),
    **_each(
        "scripts targets",
        "there are no scripts apart; make each an entry of tasks with a name and a command",
    ),
    **_each(
        "processes procs daemons programs apps",
        "entries stand under services, those that end by themselves under tasks",
    ),
    **_each(
        "languages packages tools entershell precommit githooks hooks",
        "what is installed belongs to devcontainer.json, or into a task that lists the trigger prebuild",
    ),
    **_each(
        "proclistwidth hidekeymapwindow mousescrollspeed scrollback keymap keymapprocs keymapterm logs"
        " loglevel"
        " loglocation disablejsonlog isstrict orderedshutdown",
        "belongs to another tool's file; remove it",
    ),
    "settings": "an automations file has none; the agent's own stand in its configuration file",
    "image": f"{_OLD}; name the image in devcontainer.json, or under runsOn.docker of one entry",
    **_each(
        "ports expose",
        f"{_OLD}; open a port in a command: gitpod environment port open PORT",
    ),
    "vscode": f"{_OLD}; extensions go into devcontainer.json, under customizations.vscode",
    **_each(
        "github gitlab", f"{_OLD}; prebuilds are set up in the project; let tasks list the trigger prebuild"
    ),
    **_each(
        "jetbrains gitconfig checkoutlocation workspacelocation additionalrepositories mainconfiguration"
        " coredump experimentalnetwork idecredentials",
        f"{_OLD}; remove it",
    ),
    **_each(
        "features customizations forwardports portsattributes otherportsattributes remoteuser containeruser"
        " containerenv remoteenv mounts build dockerfile dockercomposefile runservices workspacefolder"
        " workspacemount runargs appport hostrequirements overridecommand shutdownaction waitfor userenvprobe"
        " updateremoteuseruid overridefeatureinstallorder init privileged capadd securityopt extensions",
        f"{_DEVCONTAINER}; move it there",
    ),
    **_each(
        "initializecommand oncreatecommand updatecontentcommand postcreatecommand poststartcommand"
        " postattachcommand",
        f"{_DEVCONTAINER}; leave it there, or make it a task that lists the trigger postDevcontainerStart",
    ),
    **_each("volumes networks secrets configs", "belongs to compose.yaml; remove it"),
    **_each("kind metadata spec", "this is no Kubernetes object; begin with services and tasks"),
}

_TRIGGERS = _each(
    "triggers trigger triggeredon triggerby on when starton events event autostart prebuild auto bootstart"
    " runon runoptions",
    "triggeredBy",
)
_DOCKER_ONLY = (
    "networks network networkmode links externallinks extrahosts privileged capadd capdrop devices dns"
    " dnssearch"
    " deploy labels annotations platform pullpolicy scale replicas ulimits tmpfs shmsize securityopt"
    " sysctls ipc"
    " pid memlimit memreservation cpus gpus runtime usernsmode readonly groupadd domainname isolation cgroup"
    " cgroupparent attach configs volumesfrom logging containername hostname expose stdinopen blkioconfig"
    " credentialspec storageopt runargs"
)
_RUNS_ON = {
    **_each("image container containerimage", "runsOn.docker.image"),
    "docker": "runsOn.docker",
    "machine": "runsOn.machine",
}
ENTRY: Words = {
    **_each(
        "env environment variables envfile envvars vars dotenv envfrom envcmds addpath",
        "a file holds no environment variables; set them in the command or, by the API, in the spec",
    ),
    **_each(
        _DOCKER_ONLY,
        "the container of runsOn.docker is not to be configured; keep it in compose.yaml, and let the"
        " command run"
        " docker compose up",
    ),
    **_each("extends inherits", "entries inherit nothing; use a YAML anchor"),
    **_each("profiles namespace tags internal hide hidden", "entries are not grouped; remove it"),
    **_each("alias aliases", "an entry goes by its reference alone; remove it"),
    **_each(
        "sources generates inputs outputs status method execifmodified preconditions",
        "nothing is skipped for what has not changed; test in the command",
    ),
    **_each(
        "watch watchfiles develop",
        "there is no trigger by file changes; run a watcher as a service",
    ),
    **_each(
        "log logs logfile loglocation logconfiguration stdout stderr",
        "all that a command writes is kept; see it with runner-agent logs REFERENCE",
    ),
    **_each(
        "tty istty interactive stdin confirm prompt prompts usage",
        "a command has no terminal, and nobody is asked; remove it",
    ),
    **_each(
        "presentation problemmatcher group panel icon detail hide promptonclose color quiet silent raw"
        " scrollback"
        " mousescrollspeed disableansicolors",
        "belongs to another tool's file; remove it",
    ),
    **_each("windows osx linux platforms", "runs are on Linux alone; remove it"),
    **_each("type", "a command is a bash script; remove it"),
    **_each("options", "cd DIR and export NAME=VALUE go at the head of the command"),
    **_each("tools packages mise", "what is installed belongs to devcontainer.json, or into a task"),
    **_each(
        "memorylimit cpulimit limits resources",
        "limits of each run are set for all, as run_limits in the agent's configuration",
    ),
    **_each("hooks post dependspost runafter", "nothing runs afterwards; put it at the end of the command"),
    **_each("reference key", "the reference is the key of the entry"),
    **_each("id uuid", "ids are given by the agent; the reference is the key of the entry"),
    "version": "entries carry no version; remove it",
    **_each(
        "workingdir workdir workingdirectory cwd dir directory path chdir root",
        "commands run in the workspace; begin the command with cd DIR",
    ),
    **_each(
        "ports port forwardports expectedport autobumpport onopen visibility protocol",
        "ports are not declared; open one in a command: gitpod environment port open PORT",
    ),
    **_each("volumes mounts", "the workspace is mounted as it is; nothing else can be"),
    **_each("user runas", "commands run as the agent's run_as setting says; use sudo in the command"),
    **_each(
        "shell interpreter",
        "commands are bash scripts; write the script itself as the command, and call another interpreter"
        " in it",
    ),
    **_each(
        "restart restartpolicy retry retries maxretries autorestart availability startretries restartcount"
        " maxrestarts retrydelay backoff restartsec exitonfailure exitonend exitonskipped",
        "nothing is started again by itself; write a loop into the command",
    ),
    **_each("schedule cron", "there is no trigger by time; use the machine's cron"),
    **_each("openmode openin", "belongs to .gitpod.yml; remove it"),
    **_each("enabled disabled", "an entry without triggers never starts by itself; remove it"),
    **_each("if condition conditions", "there are no conditions; test in the command"),
    **_each("secrets secret", "secrets are the environment's; read the variable in the command"),
}
_WAITS = "depends dependencies dependency dependson deps needs requires after waitfor prerequisites"
SERVICE_MEANT: Words = {
    **_TRIGGERS,
    **_RUNS_ON,
    **_each("command start cmd cmds run exec script entrypoint args", "commands.start"),
    **_each(
        "ready readycommand readycmd readyon readywhen readyoutput readyhttp readyport readylogline"
        " readyloglines"
        " healthcheck readiness readinessprobe startupprobe probe",
        "commands.ready",
    ),
    **_each("stop stopcommand shutdown down", "commands.stop"),
    **_each("timeout readytimeout startuptimeout launchtimeoutseconds", "readinessTimeout"),
    **_each("title label displayname", "name"),
}
SERVICE_REMARKS: Words = {
    **ENTRY,
    **_each(_WAITS, "a service waits for nothing; wait in its start command, or let a task depend on it"),
    "prebuildrequiressuccess": "only a task takes it",
    **_each(
        "livenessprobe liveness interval readydelay startperiod startinterval",
        "nothing is probed once a service is up; commands.ready decides when it is",
    ),
    **_each("init before", "a service prepares nothing apart; put it at the head of commands.start"),
    **_each(
        "stopsignal killsignal stopgraceperiod terminationgraceperiodseconds gracefultimeout stoptimeout",
        "a stop is SIGTERM and, two minutes later, SIGKILL; commands.stop replaces the SIGTERM",
    ),
    **_each("build", "no image is built for an entry; build it in a task"),
    **_each(
        "isdaemon daemon daemonize isforeground foreground isbackground background detach detached",
        "a service stays in the foreground of its start command; remove it",
    ),
    "dependsorder": "a service waits for nothing; wait in its start command",
}
TASK_MEANT: Words = {
    **_TRIGGERS,
    **_RUNS_ON,
    **_each("commands cmd cmds run exec script scripts start steps actions entrypoint", "command"),
    **_each(_WAITS, "dependsOn"),
    **_each("title label displayname", "name"),
    **_each("failprebuild required requiressuccess mustsucceed", "prebuildRequiresSuccess"),
}
TASK_REMARKS: Words = {
    **ENTRY,
    "role": "only a service has a role",
    **_each(
        "readinesstimeout ready stop readyon readycmd readyoutput readyhttp readyport readydelay readylogline"
        " readinessprobe livenessprobe healthcheck shutdown",
        "only a service takes it; a task has done its work when it ends",
    ),
    "args": "write the arguments behind the command, in one text",
    "dependsorder": "what it depends on runs at the same time; let each depend on the one before",
    **_each(
        "isbackground background isdaemon daemon detach detached",
        "what a task leaves behind is ended with it; make it a service",
    ),
    **_each("build", "no image is built for an entry; build it in the command"),
    **_each(
        "init before",
        "belongs to .gitpod.yml; make it a task of its own, and let this one list it under dependsOn",
    ),
    "prebuild": "say triggeredBy: [prebuild]; prebuildRequiresSuccess: true makes a failure count",
    **_each(
        "timeout timeoutseconds timeoutminutes",
        "a task has no time limit; write timeout SECONDS before its command",
    ),
    **_each(
        "continueonerror onfailure ignoreerrors ignoreerror", "there is none; append || true to what may fail"
    ),
}
_IN_COMMANDS = "commands."
COMMANDS_MEANT: Words = {
    **{
        word: meant.removeprefix(_IN_COMMANDS)
        for word, meant in SERVICE_MEANT.items()
        if meant.startswith(_IN_COMMANDS)
    },
    **_each("command cmd cmds run exec script shell", "start"),
    **_each(
        "healthcheck readiness readinessprobe probe check readyon readycmd readycommand readyoutput readyhttp"
        " readyport readylogline",
        "ready",
    ),
    **_each("shutdown down kill teardown", "stop"),
}
_BESIDE = {
    key.lower(): key for key in ("name", "description", "triggeredBy", "runsOn", "role", "readinessTimeout")
}
COMMANDS_REMARKS: Words = {
    **{word: remark for word, remark in SERVICE_REMARKS.items() if word not in COMMANDS_MEANT},
    **{
        word: f"write {meant} beside commands, in the service itself"
        for word, meant in {**SERVICE_MEANT, **_BESIDE}.items()
        if not meant.startswith(_IN_COMMANDS)
    },
    **_each("init before prepare setup prestart", "put it at the head of start, or into a task of its own"),
}
RUNS_ON_MEANT: Words = {
    "container": "docker",
    "image": "docker.image",
    "environment": "docker.environment",
    **_each("host vm", "machine"),
}
RUNS_ON_REMARKS: Words = _each(
    "devcontainer", "an entry without runsOn runs in the dev container; remove runsOn"
)
DOCKER_MEANT: Words = _each("env environ variables", "environment")
DOCKER_REMARKS: Words = _each(
    "ports volumes mounts network privileged user workdir entrypoint args build",
    "not to be chosen: the workspace is mounted at its own path, and the network is the machine's",
)
TRIGGERS_MEANT: Words = {
    **_each(
        "containerstart postcontainerstart devcontainerstart poststart poststartcommand postcreate"
        " postcreatecommand ondevcontainerstart",
        "postDevcontainerStart",
    ),
    **_each(
        "environmentstart onenvironmentstart workspacestart workspacestarted postworkspacestart start"
        " onstart autostart always",
        "postEnvironmentStart",
    ),
    **_each("machinestart boot onboot startup", "postMachineStart"),
    **_each("prebuilds onprebuild init", "prebuild"),
    **_each("snapshot presnapshot onsnapshot", "beforeSnapshot"),
    **_each("onmanual button user", "manual"),
}
TRIGGERS_REMARKS: Words = {
    **_each(
        "onfilechange filechange files watch",
        "there is no trigger by file changes; run a watcher as a service",
    ),
    **_each("schedule cron", "there is no trigger by time; use the machine's cron"),
    **_each(
        "push pullrequest postpullrequest git commit release",
        "there is no trigger by events of the repository; use its CI",
    ),
}
