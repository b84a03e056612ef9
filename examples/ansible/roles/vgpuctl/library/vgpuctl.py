#!/usr/bin/python
"""Gives a host the vGPUs that a declaration lists: check mode is `vgpuctl plan`, the rest `vgpuctl apply`."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: vgpuctl
short_description: Gives a host the vGPUs that a declaration lists
options:
  declaration: {description: 'The declaration''s text, in quotes where it could be a number', type: raw, required: true}
  from: {description: 'Whose form it has, as C(vgpuctl plan --from) takes it; empty for its own', type: raw, default: ''}
  select: {description: 'Which part of it, as C(--select) takes it, in quotes where it could be a number', type: raw, default: ''}
  wait: {description: Seconds to wait for who holds a device that is to go, type: int, default: 0}
  executable: {description: The program on the host, type: str, default: vgpuctl}
"""

RETURN = r"""
lines: {description: 'What differs, or was done, a line a device', type: list, returned: always}
plan: {description: 'The plan in the answer of C(vgpuctl plan --json)', type: dict, returned: always}
"""

# Statuses of `plan` (vgpuctl(8)).
AS_DECLARED, DIFFERS = 0, 2


def main():
    module = AnsibleModule(
        argument_spec={
            # As they are: made a text, an address without quotes would be 2460.0.
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
        # In the words of no other language: they are read here.
        return module.run_command(command, data=params["declaration"], binary_data=True)

    status, stdout, stderr = vgpuctl("plan")
    # An older vgpuctl, which has no plan, ends with 2 as well, and answers nothing.
    if status not in (AS_DECLARED, DIFFERS) or not stdout:
        module.fail_json(msg=problem(stderr) or "vgpuctl plan ended with %d" % status, lines=[])
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
        "%s is %r, not a text: YAML reads words such as 0000:41:00.0, 1e30, 010 and yes as numbers and switches;"
        ' quote it, as "0000:41:00.0"' % (name, value)
    )


def failure(status, stdout, stderr, lines):
    """Why `apply` did not do all of it: its error, else what it says of single devices."""
    try:
        applied = json.loads(stdout)["plan"]["changes"]
    except (KeyError, ValueError):
        return problem(stderr) or "vgpuctl apply ended with %d" % status
    left = [told({"changes": [step]}) for step in applied if step["error"]]
    return "; ".join(sum(left, [])) or problem(stderr) or "; ".join(lines)


def steps(plan, *actions):
    return [step for step in plan["changes"] if step["action"] in actions]


def will_change(plan):
    return bool(steps(plan, "create", "change", "remove"))


def told(plan):
    """One line a device that is not as declared."""
    return [
        "%s %s %s: %s" % (step["action"], step["uuid"], step["type"], why(step))
        for step in steps(plan, "create", "change", "remove", "blocked")
    ]


def why(step):
    """A step's reasons; of one that is blocked, what is in the way."""
    error = step["error"]
    return error["message"] if error else ", ".join(step["reasons"])


def problem(text):
    """The error in a JSON answer, with its hints; what else there is, as it is."""
    try:
        error = json.loads(text)["error"]
    except (KeyError, TypeError, ValueError):
        return text.strip()
    return "; ".join([error["message"]] + error.get("hints", []))


if __name__ == "__main__":
    main()
