"""Ansible's way into a machine of test.sh: a systemd in namespaces of its own, named by the process id of its init."""

import shlex
import shutil

from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: machine
short_description: run tasks in the namespaces of a process
description: Enters the namespaces and the root folder of a process.
options:
  init:
    description: Process id of the machine's init.
    vars:
      - name: machine_init
"""


class Connection(Local):
    """Runs commands with nsenter; copies files through the init's root folder."""

    transport = "machine"
    # Temporary files are the machine's own.
    _remote_is_local = False

    def _init(self):
        return int(self.get_option("init"))

    def exec_command(self, cmd, in_data=None, sudoable=True):
        enter = ["nsenter", f"--target={self._init()}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        inside = ["env", "-i", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/bin/sh", "-c", cmd]
        return super().exec_command(shlex.join(enter + inside), in_data=in_data, sudoable=sudoable)

    def put_file(self, in_path, out_path):
        shutil.copyfile(in_path, f"/proc/{self._init()}/root{out_path}")

    def fetch_file(self, in_path, out_path):
        shutil.copyfile(f"/proc/{self._init()}/root{in_path}", out_path)
