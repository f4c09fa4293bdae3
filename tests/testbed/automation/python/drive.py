"""Drives the program in a folder through Pulumi's Automation API, inside this process: a command a line comes in as
JSON, an answer a line goes out."""

import json
import os
import runpy
import sys

from pulumi import automation

folder, project_name, stack_name = sys.argv[1:]


def program():
    runpy.run_path(os.path.join(folder, "__main__.py"), run_name="__main__")


def outputs(stack):
    return {name: {"value": output.value, "secret": output.secret} for name, output in stack.outputs().items()}


COMMANDS = {
    "preview": lambda stack, _: {"changes": stack.preview().change_summary},
    "up": lambda stack, request: {"changes": stack.up(expect_no_changes=request.get("expectNoChanges")).summary.resource_changes},
    "refresh": lambda stack, request: {
        "changes": stack.refresh(expect_no_changes=request.get("expectNoChanges")).summary.resource_changes
    },
    "destroy": lambda stack, _: {"changes": stack.destroy().summary.resource_changes},
    "config": lambda stack, request: stack.set_config(request["key"], automation.ConfigValue(request["value"], request.get("secret", False))) or {},
    "outputs": lambda stack, _: outputs(stack),
}

stack = automation.create_or_select_stack(stack_name=stack_name, project_name=project_name, program=program)
for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"result": COMMANDS[request["command"]](stack, request)}
    except Exception as error:  # whatever it is, the test shall see it
        answer = {"error": str(error)}
    # The file, not `print`: a program may have written half a line.
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
