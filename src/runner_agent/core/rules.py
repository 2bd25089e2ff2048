"""The rules of every message in proto/. Written by scripts/build-schema: change those files."""

# long: written by a program; one entry for each message type that has rules
from runner_agent.core import validate as v

RULES: v.Table = {
    "gitpod.v1.GetEnvironmentRequest": v.Message(
        fields=(v.Field("environment_id", rules=(v.or_empty(v.uuid()),), required=True),)
    ),
    "gitpod.v1.GetEnvironmentResponse": v.Message(
        fields=(v.Field("environment", required=True, presence=True),)
    ),
    "gitpod.v1.CreateEnvironmentLogsTokenRequest": v.Message(
        fields=(v.Field("environment_id", rules=(v.or_empty(v.uuid()),)),)
    ),
    "gitpod.v1.CreateEnvironmentLogsTokenResponse": v.Message(
        fields=(v.Field("access_token", required=True),)
    ),
    "gitpod.v1.Subject": v.Message(
        fields=(
            v.Field("id", rules=(v.or_empty(v.uuid()),)),
            v.Field("principal", rules=(v.defined(0, 1, 2, 3, 4, 5, 6),)),
        )
    ),
    "gitpod.v1.PaginationRequest": v.Message(
        fields=(v.Field("page_size", rules=(v.at_least(0), v.at_most(100))),)
    ),
    "gitpod.v1.RunsOn": v.Message(fields=(v.Field("docker", of="gitpod.v1.RunsOn.Docker", presence=True),)),
    "gitpod.v1.RunsOn.Docker": v.Message(fields=(v.Field("image", rules=(v.min_len(1),)),)),
    "gitpod.v1.EnvironmentVariableItem": v.Message(
        fields=(
            v.Field("name", rules=(v.min_len(1),)),
            v.Field("value_from", of="gitpod.v1.EnvironmentVariableSource", presence=True),
        )
    ),
    "gitpod.v1.EnvironmentVariableSource": v.Message(
        fields=(v.Field("secret_ref", of="gitpod.v1.SecretRef", presence=True),)
    ),
    "gitpod.v1.SecretRef": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "gitpod.v1.Service": v.Message(
        fields=(
            v.Field("id", rules=(v.uuid(),)),
            v.Field("environment_id", rules=(v.uuid(),)),
            v.Field("metadata", of="gitpod.v1.ServiceMetadata", presence=True),
            v.Field("spec", of="gitpod.v1.ServiceSpec", presence=True),
            v.Field("status", of="gitpod.v1.ServiceStatus", presence=True),
        )
    ),
    "gitpod.v1.ServiceMetadata": v.Message(
        fields=(
            v.Field("reference", rules=(v.pattern(r"^[a-zA-Z0-9_-]{1,128}$"),)),
            v.Field("name", rules=(v.min_len(1),)),
            v.Field("creator", of="gitpod.v1.Subject", presence=True),
        )
    ),
    "gitpod.v1.ServiceSpec": v.Message(
        fields=(
            v.Field("desired_phase", rules=(v.defined(0, 1, 2, 3, 4, 5, 6),)),
            v.Field("commands", of="gitpod.v1.ServiceSpec.Commands", presence=True),
            v.Field("runs_on", of="gitpod.v1.RunsOn", presence=True),
            v.Field("env", of="gitpod.v1.EnvironmentVariableItem", shape=v.Shape.LIST),
            v.Field("readiness_timeout", rules=(v.at_least(0), v.at_most(86400)), presence=True),
        )
    ),
    "gitpod.v1.ServiceSpec.Commands": v.Message(fields=(v.Field("start", rules=(v.min_len(1),)),)),
    "gitpod.v1.ServiceStatus": v.Message(
        fields=(
            v.Field(
                "output", keys=(v.min_len(1), v.max_len(128)), items=(v.max_len(4096),), shape=v.Shape.MAP
            ),
        )
    ),
    "gitpod.v1.CreateServiceRequest": v.Message(
        fields=(
            v.Field("environment_id", rules=(v.or_empty(v.uuid()),)),
            v.Field("metadata", of="gitpod.v1.ServiceMetadata", presence=True),
            v.Field("spec", of="gitpod.v1.ServiceSpec", presence=True),
        )
    ),
    "gitpod.v1.CreateServiceResponse": v.Message(
        fields=(v.Field("service", of="gitpod.v1.Service", required=True, presence=True),)
    ),
    "gitpod.v1.GetServiceRequest": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "gitpod.v1.GetServiceResponse": v.Message(
        fields=(v.Field("service", of="gitpod.v1.Service", required=True, presence=True),)
    ),
    "gitpod.v1.ListServicesRequest": v.Message(
        fields=(
            v.Field("pagination", of="gitpod.v1.PaginationRequest", presence=True),
            v.Field("filter", of="gitpod.v1.ListServicesRequest.Filter", presence=True),
        )
    ),
    "gitpod.v1.ListServicesRequest.Filter": v.Message(
        fields=(
            v.Field("environment_ids", rules=(v.max_items(25),), items=(v.uuid(),), shape=v.Shape.LIST),
            v.Field("references", rules=(v.max_items(25),), items=(v.min_len(1),), shape=v.Shape.LIST),
            v.Field("service_ids", rules=(v.max_items(25),), items=(v.uuid(),), shape=v.Shape.LIST),
            v.Field("roles", rules=(v.max_items(25),), items=(v.defined(0, 1, 2, 3, 4),), shape=v.Shape.LIST),
        )
    ),
    "gitpod.v1.ListServicesResponse": v.Message(
        fields=(v.Field("services", of="gitpod.v1.Service", shape=v.Shape.LIST),)
    ),
    "gitpod.v1.UpdateServiceRequest": v.Message(
        fields=(
            v.Field("id", rules=(v.uuid(),)),
            v.Field("metadata", of="gitpod.v1.UpdateServiceRequest.ServiceMetadata", presence=True),
            v.Field("spec", of="gitpod.v1.UpdateServiceRequest.ServiceSpec", presence=True),
            v.Field("status", of="gitpod.v1.UpdateServiceRequest.ServiceStatus", presence=True),
        )
    ),
    "gitpod.v1.UpdateServiceRequest.ServiceMetadata": v.Message(
        fields=(v.Field("name", rules=(v.min_len(1),), presence=True),)
    ),
    "gitpod.v1.UpdateServiceRequest.ServiceSpec": v.Message(
        fields=(
            v.Field("runs_on", of="gitpod.v1.RunsOn", presence=True),
            v.Field("env", of="gitpod.v1.EnvironmentVariableItem", shape=v.Shape.LIST),
            v.Field("readiness_timeout", rules=(v.at_least(0), v.at_most(86400)), presence=True),
        )
    ),
    "gitpod.v1.UpdateServiceRequest.ServiceStatus": v.Message(
        fields=(v.Field("phase", rules=(v.defined(0, 1, 2, 3, 4, 5, 6),), presence=True),)
    ),
    "gitpod.v1.DeleteServiceRequest": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "gitpod.v1.StartServiceRequest": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "gitpod.v1.StopServiceRequest": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "gitpod.v1.UpsertAutomationsFileRequest": v.Message(
        fields=(
            v.Field("environment_id", rules=(v.or_empty(v.uuid()),)),
            v.Field("automations_file", of="gitpod.v1.AutomationsFile", presence=True),
        )
    ),
    "gitpod.v1.AutomationsFile": v.Message(
        fields=(
            v.Field(
                "services",
                keys=(v.pattern(r"^[a-zA-Z0-9_-]{1,128}$"),),
                of="gitpod.v1.AutomationsFile.Service",
                shape=v.Shape.MAP,
            ),
            v.Field(
                "tasks",
                keys=(v.pattern(r"^[a-zA-Z0-9_-]{1,128}$"),),
                of="gitpod.v1.AutomationsFile.Task",
                shape=v.Shape.MAP,
            ),
        )
    ),
    "gitpod.v1.AutomationsFile.Service": v.Message(
        fields=(
            v.Field("name", rules=(v.min_len(1),)),
            v.Field("commands", of="gitpod.v1.ServiceSpec.Commands", presence=True),
            v.Field(
                "triggered_by",
                items=(
                    v.one_of(
                        "manual",
                        "postMachineStart",
                        "postEnvironmentStart",
                        "postDevcontainerStart",
                        "prebuild",
                        "beforeSnapshot",
                    ),
                ),
                shape=v.Shape.LIST,
            ),
            v.Field("runs_on", of="gitpod.v1.RunsOn", presence=True),
            v.Field("role", rules=(v.one_of("", "default", "editor", "ai-agent"),)),
            v.Field("readiness_timeout", rules=(v.at_least(0), v.at_most(86400)), presence=True),
        )
    ),
    "gitpod.v1.AutomationsFile.Task": v.Message(
        fields=(
            v.Field("name", rules=(v.min_len(1),)),
            v.Field("command", rules=(v.min_len(1),)),
            v.Field(
                "triggered_by",
                items=(
                    v.one_of(
                        "manual",
                        "postMachineStart",
                        "postEnvironmentStart",
                        "postDevcontainerStart",
                        "prebuild",
                        "beforeSnapshot",
                    ),
                ),
                shape=v.Shape.LIST,
            ),
            v.Field("runs_on", of="gitpod.v1.RunsOn", presence=True),
        )
    ),
    "gitpod.v1.Task": v.Message(
        fields=(
            v.Field("id", rules=(v.uuid(),)),
            v.Field("environment_id", rules=(v.uuid(),)),
            v.Field("metadata", of="gitpod.v1.TaskMetadata", presence=True),
            v.Field("spec", of="gitpod.v1.TaskSpec", presence=True),
            v.Field("depends_on", items=(v.uuid(),), shape=v.Shape.LIST),
        )
    ),
    "gitpod.v1.TaskMetadata": v.Message(
        fields=(
            v.Field("reference", rules=(v.pattern(r"^[a-zA-Z0-9_-]{1,128}$"),)),
            v.Field("name", rules=(v.min_len(1),)),
            v.Field("creator", of="gitpod.v1.Subject", presence=True),
        )
    ),
    "gitpod.v1.TaskSpec": v.Message(
        fields=(
            v.Field("runs_on", of="gitpod.v1.RunsOn", presence=True),
            v.Field("env", of="gitpod.v1.EnvironmentVariableItem", shape=v.Shape.LIST),
        )
    ),
    "gitpod.v1.CreateTaskRequest": v.Message(
        fields=(
            v.Field("environment_id", rules=(v.or_empty(v.uuid()),)),
            v.Field("metadata", of="gitpod.v1.TaskMetadata", presence=True),
            v.Field("spec", of="gitpod.v1.TaskSpec", presence=True),
            v.Field("depends_on", items=(v.uuid(),), shape=v.Shape.LIST),
        )
    ),
    "gitpod.v1.CreateTaskResponse": v.Message(
        fields=(v.Field("task", of="gitpod.v1.Task", required=True, presence=True),)
    ),
    "gitpod.v1.GetTaskRequest": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "gitpod.v1.GetTaskResponse": v.Message(
        fields=(v.Field("task", of="gitpod.v1.Task", required=True, presence=True),)
    ),
    "gitpod.v1.ListTasksRequest": v.Message(
        fields=(
            v.Field("pagination", of="gitpod.v1.PaginationRequest", presence=True),
            v.Field("filter", of="gitpod.v1.ListTasksRequest.Filter", presence=True),
        )
    ),
    "gitpod.v1.ListTasksRequest.Filter": v.Message(
        fields=(
            v.Field("environment_ids", rules=(v.max_items(25),), items=(v.uuid(),), shape=v.Shape.LIST),
            v.Field("references", rules=(v.max_items(25),), items=(v.min_len(1),), shape=v.Shape.LIST),
            v.Field("task_ids", rules=(v.max_items(25),), items=(v.uuid(),), shape=v.Shape.LIST),
        )
    ),
    "gitpod.v1.ListTasksResponse": v.Message(
        fields=(v.Field("tasks", of="gitpod.v1.Task", shape=v.Shape.LIST),)
    ),
    "gitpod.v1.UpdateTaskRequest": v.Message(
        fields=(
            v.Field("id", rules=(v.uuid(),)),
            v.Field("metadata", of="gitpod.v1.UpdateTaskRequest.TaskMetadata", presence=True),
            v.Field("spec", of="gitpod.v1.UpdateTaskRequest.TaskSpec", presence=True),
            v.Field("depends_on", items=(v.uuid(),), shape=v.Shape.LIST),
        )
    ),
    "gitpod.v1.UpdateTaskRequest.TaskMetadata": v.Message(
        fields=(v.Field("name", rules=(v.min_len(1),), presence=True),)
    ),
    "gitpod.v1.UpdateTaskRequest.TaskSpec": v.Message(
        fields=(
            v.Field("runs_on", of="gitpod.v1.RunsOn", presence=True),
            v.Field("env", of="gitpod.v1.EnvironmentVariableItem", shape=v.Shape.LIST),
        )
    ),
    "gitpod.v1.DeleteTaskRequest": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "gitpod.v1.StartTaskRequest": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "gitpod.v1.StartTaskResponse": v.Message(
        fields=(v.Field("task_execution", of="gitpod.v1.TaskExecution", required=True, presence=True),)
    ),
    "gitpod.v1.TaskExecution": v.Message(
        fields=(
            v.Field("id", rules=(v.uuid(),)),
            v.Field("metadata", of="gitpod.v1.TaskExecutionMetadata", presence=True),
            v.Field("spec", of="gitpod.v1.TaskExecutionSpec", presence=True),
            v.Field("status", of="gitpod.v1.TaskExecutionStatus", presence=True),
        )
    ),
    "gitpod.v1.TaskExecutionMetadata": v.Message(
        fields=(
            v.Field("task_id", rules=(v.uuid(),)),
            v.Field("environment_id", rules=(v.uuid(),)),
            v.Field("creator", of="gitpod.v1.Subject", presence=True),
        )
    ),
    "gitpod.v1.TaskExecutionSpec": v.Message(
        fields=(
            v.Field("plan", of="gitpod.v1.TaskExecutionSpec.Group", shape=v.Shape.LIST),
            v.Field("desired_phase", rules=(v.defined(0, 1, 2, 3, 4, 5),)),
        )
    ),
    "gitpod.v1.TaskExecutionSpec.Group": v.Message(
        fields=(v.Field("steps", of="gitpod.v1.TaskExecutionSpec.Step", shape=v.Shape.LIST),)
    ),
    "gitpod.v1.TaskExecutionSpec.Step": v.Message(
        fields=(
            v.Field("id", rules=(v.uuid(),)),
            v.Field("task", of="gitpod.v1.TaskExecutionSpec.Task", presence=True),
            v.Field("service_id", rules=(v.uuid(),), presence=True),
        )
    ),
    "gitpod.v1.TaskExecutionSpec.Task": v.Message(
        fields=(v.Field("id", rules=(v.uuid(),)), v.Field("spec", of="gitpod.v1.TaskSpec", presence=True))
    ),
    "gitpod.v1.TaskExecutionStatus": v.Message(
        fields=(v.Field("steps", of="gitpod.v1.TaskExecutionStatus.Step", shape=v.Shape.LIST),)
    ),
    "gitpod.v1.TaskExecutionStatus.Step": v.Message(
        fields=(
            v.Field("id", rules=(v.uuid(),)),
            v.Field("phase", rules=(v.defined(0, 1, 2, 3, 4, 5),)),
            v.Field(
                "output", keys=(v.min_len(1), v.max_len(128)), items=(v.max_len(4096),), shape=v.Shape.MAP
            ),
        )
    ),
    "gitpod.v1.ListTaskExecutionsRequest": v.Message(
        fields=(
            v.Field("pagination", of="gitpod.v1.PaginationRequest", presence=True),
            v.Field("filter", of="gitpod.v1.ListTaskExecutionsRequest.Filter", presence=True),
        )
    ),
    "gitpod.v1.ListTaskExecutionsRequest.Filter": v.Message(
        fields=(
            v.Field("task_ids", rules=(v.max_items(25),), items=(v.uuid(),), shape=v.Shape.LIST),
            v.Field("task_references", rules=(v.max_items(25),), shape=v.Shape.LIST),
            v.Field("environment_ids", rules=(v.max_items(25),), items=(v.uuid(),), shape=v.Shape.LIST),
            v.Field("phases", rules=(v.max_items(25),), shape=v.Shape.LIST),
        )
    ),
    "gitpod.v1.ListTaskExecutionsResponse": v.Message(
        fields=(v.Field("task_executions", of="gitpod.v1.TaskExecution", shape=v.Shape.LIST),)
    ),
    "gitpod.v1.GetTaskExecutionRequest": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "gitpod.v1.GetTaskExecutionResponse": v.Message(
        fields=(v.Field("task_execution", of="gitpod.v1.TaskExecution", required=True, presence=True),)
    ),
    "gitpod.v1.StopTaskExecutionRequest": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "gitpod.v1.WatchEventsRequest": v.Message(
        fields=(
            v.Field(
                "resource_type_filters",
                rules=(v.max_items(50),),
                of="gitpod.v1.WatchEventsRequest.ResourceTypeFilter",
                shape=v.Shape.LIST,
            ),
        )
    ),
    "gitpod.v1.WatchEventsRequest.ResourceTypeFilter": v.Message(
        fields=(
            v.Field(
                "resource_type",
                rules=(
                    v.not_in(0),
                    v.defined(
                        0,
                        1,
                        2,
                        3,
                        4,
                        5,
                        6,
                        7,
                        8,
                        9,
                        10,
                        11,
                        12,
                        13,
                        14,
                        15,
                        16,
                        17,
                        18,
                        19,
                        20,
                        21,
                        22,
                        23,
                        24,
                        25,
                        26,
                        27,
                        28,
                        29,
                        30,
                        31,
                        32,
                        33,
                        34,
                        35,
                        36,
                        37,
                        38,
                        39,
                        40,
                        41,
                        42,
                        43,
                        44,
                        45,
                        46,
                        47,
                        48,
                        49,
                        50,
                    ),
                ),
            ),
            v.Field("resource_ids", rules=(v.max_items(25),), items=(v.uuid(),), shape=v.Shape.LIST),
            v.Field("creator_ids", rules=(v.max_items(25),), items=(v.uuid(),), shape=v.Shape.LIST),
        )
    ),
    "gitpod.v1.WatchEventsResponse": v.Message(fields=(v.Field("resource_id", rules=(v.uuid(),)),)),
    "runner_agent.v1.GetAgentResponse": v.Message(
        fields=(v.Field("agent", of="runner_agent.v1.Agent", required=True, presence=True),)
    ),
    "runner_agent.v1.Agent": v.Message(fields=(v.Field("environment_id", rules=(v.uuid(),)),)),
    "runner_agent.v1.SetAutomationsFileRequest": v.Message(
        fields=(v.Field("path", rules=(v.min_len(1), v.max_len(4096))),)
    ),
    "runner_agent.v1.ApplyAutomationsFileRequest": v.Message(
        fields=(
            v.Field("automations_file", of="gitpod.v1.AutomationsFile", presence=True),
            v.Field("path", rules=(v.max_len(4096),)),
        )
    ),
    "runner_agent.v1.ApplyAutomationsFileResponse": v.Message(
        fields=(
            v.Field("changes", of="runner_agent.v1.ApplyAutomationsFileResponse.Change", shape=v.Shape.LIST),
        )
    ),
    "runner_agent.v1.ApplyAutomationsFileResponse.Change": v.Message(
        fields=(v.Field("id", rules=(v.or_empty(v.uuid()),)),)
    ),
    "runner_agent.v1.RestartServiceRequest": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "runner_agent.v1.FireTriggerRequest": v.Message(
        fields=(
            v.Field(
                "event",
                rules=(
                    v.one_of(
                        "postMachineStart",
                        "postDevcontainerStart",
                        "postEnvironmentStart",
                        "prebuild",
                        "beforeSnapshot",
                    ),
                ),
            ),
            v.Field("once_key", rules=(v.max_len(512),)),
        )
    ),
    "runner_agent.v1.FireTriggerResponse": v.Message(
        fields=(
            v.Field("firing", of="runner_agent.v1.Firing", required=True, presence=True),
            v.Field("kept", of="runner_agent.v1.Firing.Started", shape=v.Shape.LIST),
        )
    ),
    "runner_agent.v1.Firing": v.Message(
        fields=(
            v.Field("id", rules=(v.or_empty(v.uuid()),)),
            v.Field("services", of="runner_agent.v1.Firing.Started", shape=v.Shape.LIST),
            v.Field("executions", of="runner_agent.v1.Firing.Started", shape=v.Shape.LIST),
        )
    ),
    "runner_agent.v1.Firing.Started": v.Message(
        fields=(
            v.Field("id", rules=(v.or_empty(v.uuid()),)),
            v.Field("task_id", rules=(v.or_empty(v.uuid()),)),
        )
    ),
    "runner_agent.v1.ListFiringsRequest": v.Message(
        fields=(v.Field("pagination", of="gitpod.v1.PaginationRequest", presence=True),)
    ),
    "runner_agent.v1.ListFiringsResponse": v.Message(
        fields=(v.Field("firings", of="runner_agent.v1.Firing", shape=v.Shape.LIST),)
    ),
    "runner_agent.v1.StartPrebuildResponse": v.Message(
        fields=(v.Field("prebuild", of="runner_agent.v1.Prebuild", required=True, presence=True),)
    ),
    "runner_agent.v1.GetPrebuildRequest": v.Message(fields=(v.Field("id", rules=(v.or_empty(v.uuid()),)),)),
    "runner_agent.v1.GetPrebuildResponse": v.Message(
        fields=(v.Field("prebuild", of="runner_agent.v1.Prebuild", required=True, presence=True),)
    ),
    "runner_agent.v1.CancelPrebuildRequest": v.Message(
        fields=(v.Field("id", rules=(v.or_empty(v.uuid()),)),)
    ),
    "runner_agent.v1.CancelPrebuildResponse": v.Message(
        fields=(v.Field("prebuild", of="runner_agent.v1.Prebuild", required=True, presence=True),)
    ),
    "runner_agent.v1.Prebuild": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "runner_agent.v1.PlanTaskRequest": v.Message(
        fields=(
            v.Field("id", rules=(v.uuid(),), presence=True),
            v.Field("reference", rules=(v.min_len(1),), presence=True),
        ),
        oneofs=(("task", ("id", "reference")),),
    ),
    "runner_agent.v1.PlanTaskResponse": v.Message(
        fields=(v.Field("groups", of="runner_agent.v1.PlanTaskResponse.Group", shape=v.Shape.LIST),)
    ),
    "runner_agent.v1.PlanTaskResponse.Group": v.Message(
        fields=(v.Field("steps", of="runner_agent.v1.PlanTaskResponse.Step", shape=v.Shape.LIST),)
    ),
    "runner_agent.v1.PlanTaskResponse.Step": v.Message(
        fields=(
            v.Field("task_id", rules=(v.uuid(),), presence=True),
            v.Field("service_id", rules=(v.uuid(),), presence=True),
        )
    ),
    "runner_agent.v1.ListLiveStatusRequest": v.Message(
        fields=(v.Field("pagination", of="gitpod.v1.PaginationRequest", presence=True),)
    ),
    "runner_agent.v1.ListLiveStatusResponse": v.Message(
        fields=(v.Field("services", of="runner_agent.v1.LiveStatus", shape=v.Shape.LIST),)
    ),
    "runner_agent.v1.LiveStatus": v.Message(fields=(v.Field("service_id", rules=(v.uuid(),)),)),
    "runner_agent.v1.ExplainAutomationRequest": v.Message(
        fields=(
            v.Field("reference", rules=(v.min_len(1),), presence=True),
            v.Field("id", rules=(v.uuid(),), presence=True),
        ),
        oneofs=(("subject", ("reference", "id")),),
    ),
    "runner_agent.v1.ExplainAutomationResponse": v.Message(
        fields=(
            v.Field("id", rules=(v.uuid(),)),
            v.Field("execution_id", rules=(v.or_empty(v.uuid()),)),
            v.Field("steps", of="runner_agent.v1.ExplainAutomationResponse.Step", shape=v.Shape.LIST),
        )
    ),
    "runner_agent.v1.ExplainAutomationResponse.Step": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
    "runner_agent.v1.ListTimelineRequest": v.Message(
        fields=(
            v.Field("pagination", of="gitpod.v1.PaginationRequest", presence=True),
            v.Field("filter", of="runner_agent.v1.ListTimelineRequest.Filter", presence=True),
        )
    ),
    "runner_agent.v1.ListTimelineRequest.Filter": v.Message(
        fields=(v.Field("id", rules=(v.or_empty(v.uuid()),)),)
    ),
    "runner_agent.v1.ListTimelineResponse": v.Message(
        fields=(v.Field("entries", of="runner_agent.v1.TimelineEntry", shape=v.Shape.LIST),)
    ),
    "runner_agent.v1.TimelineEntry": v.Message(fields=(v.Field("id", rules=(v.uuid(),)),)),
}
