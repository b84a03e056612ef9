#!/usr/bin/python
"""Applies a declaration of vGPUs to a host: `vgpuctl plan` in check mode, otherwise `vgpuctl apply`."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: vgpuctl
short_description: Applies a declaration of vGPUs to a host
options:
  declaration: {description: 'Text of the declaration, quoted if it could be read as a number', type: raw, required: true}
  from: {description: 'Format of the text, as for C(vgpuctl plan --from); empty for a declaration', type: raw, default: ''}
  select: {description: 'Part of the text to use, as for C(--select), quoted if it could be read as a number', type: raw, default: ''}
  wait: {description: Seconds to wait for processes that hold a device to be removed, type: int, default: 0}
  executable: {description: The program on the host, type: str, default: vgpuctl}
"""

RETURN = r"""
lines: {description: 'Differences or changes, one line per device', type: list, returned: always}
plan: {description: 'The plan in the output of C(vgpuctl plan --json)', type: dict, returned: always}
"""

# Exit statuses of `plan` (vgpuctl(8)).
AS_DECLARED, DIFFERS = 0, 2


def main():
    module = AnsibleModule(
        argument_spec={
            # Raw values: as a string, an unquoted address would become 2460.0.
            "declaration": {"type": "raw", "required": True},
            "from": {"type": "raw", "default": ""},
            "select": {"type": "raw", "default": ""},
            "wait": {"type": "int", "default": 0},
            "executable": {"type": "str", "default": "vgpuctl"},
        },
        supports_check_mode=True,
    )
    params = module.params
    for name in ("declaration", "from", "select"):
        wrong = no_text(name, params[name])
        if wrong:
            module.fail_json(msg=wrong, lines=[])
    described = ["--from", params["from"]] if params["from"] else []
    described += ["--select", params["select"]] if params["select"] else []

    def vgpuctl(*arguments):
        command = [params["executable"], "--json"] + list(arguments) + described + ["-"]
        # Untranslated, because the output is parsed here.
        return module.run_command(command, data=params["declaration"], binary_data=True)

    status, stdout, stderr = vgpuctl("plan")
    # An older vgpuctl without plan also exits with 2, but prints nothing.
    if status not in (AS_DECLARED, DIFFERS) or not stdout:
        module.fail_json(msg=problem(stderr) or "vgpuctl plan exited with %d" % status, lines=[])
    plan = json.loads(stdout)["plan"]
    lines = told(plan)
    result = {"plan": plan, "lines": lines, "changed": will_change(plan)}
    if module._diff:
        result["diff"] = {"prepared": "".join(line + "\n" for line in lines)}
    if status == AS_DECLARED or module.check_mode:
        module.exit_json(**result)

    status, stdout, stderr = vgpuctl("apply", "--yes", "--wait", str(params["wait"]))
    if status != 0:
        module.fail_json(msg=failure(status, stdout, stderr, lines), **result)
    module.exit_json(**result)


def no_text(name, value):
    """Why a value is refused that YAML made something else of than a text."""
    if isinstance(value, str):
        return None
    return (
        "%s is %r, not a string: YAML reads words such as 0000:41:00.0, 1e30, 010 and yes as numbers and booleans;"
        ' quote it, as "0000:41:00.0"' % (name, value)
    )


def failure(status, stdout, stderr, lines):
    """Why `apply` was not complete: its error, otherwise the errors of individual devices."""
    try:
        applied = json.loads(stdout)["plan"]["changes"]
    except (KeyError, ValueError):
        return problem(stderr) or "vgpuctl apply exited with %d" % status
    left = [told({"changes": [step]}) for step in applied if step["error"]]
    return "; ".join(sum(left, [])) or problem(stderr) or "; ".join(lines)


def steps(plan, *actions):
    return [step for step in plan["changes"] if step["action"] in actions]


def will_change(plan):
    return bool(steps(plan, "create", "change", "remove"))


def told(plan):
    """One line per device that differs from the declaration."""
    return [
        "%s %s %s: %s" % (step["action"], step["uuid"], step["type"], why(step))
        for step in steps(plan, "create", "change", "remove", "blocked")
    ]


def why(step):
    """The reasons of a step, or why it is blocked."""
    error = step["error"]
    return error["message"] if error else ", ".join(step["reasons"])


def problem(text):
    """The error in JSON output, with its hints; any other text unchanged."""
    try:
        error = json.loads(text)["error"]
    except (KeyError, TypeError, ValueError):
        return text.strip()
    return "; ".join([error["message"]] + error.get("hints", []))


if __name__ == "__main__":
    main()
