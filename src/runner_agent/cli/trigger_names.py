"""The events that can be fired, by their names in a file. `manual` never fires: it marks a button."""

EVENTS = ("postMachineStart", "postDevcontainerStart", "postEnvironmentStart", "prebuild", "beforeSnapshot")
