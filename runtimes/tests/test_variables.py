"""Variables that an interpreter reads when it starts, before the agent knows of them: they have their effect, or the bind is
refused with the reason."""

import unittest

from support import Agent, AgentInImage, docker_has

PYTHON_SEEN = "import os, sys\ndef handler(params): return [eval(params), sys.argv[1:], os.getcwd() == os.path.dirname(__file__)]"
NODE_SEEN = "module.exports = (params) => [eval(params), process.argv.length, process.execArgv.length];"


class Variables:
    """The tests; the classes at the end say where the agents run."""

    kind = Agent

    def bind(self, runtime, files, env, **more):
        self.an_agent = self.kind(runtime)
        self.addCleanup(self.an_agent.close)
        self.connection = self.an_agent.connect()
        # In a container the folder is where it always is.
        code_dir = "/app/code" if self.kind is AgentInImage else self.an_agent.code_dir
        env = {name: value.replace("CODE", code_dir) for name, value in env.items()}
        return self.connection.bind(files, env=env, **more)

    def check(self, runtime, files, env, params, expected, **more):
        answer = self.bind(runtime, files, env, **more)
        self.assertEqual(answer.status, 200, answer)
        for _ in range(2):
            answer = self.connection.invoke(params)
            self.assertEqual((answer.outcome, answer.json), ("result", expected), answer)
        # The socket that was there before is served on.
        self.assertIs(self.an_agent.connect().request("GET", "/health").json["bound"], True)

    def refused(self, runtime, files, env, words):
        answer = self.bind(runtime, files, env)
        self.assertEqual((answer.status, answer.json["code"], answer.json["error"]), (422, "load_failed", "RefusedVariable"), answer)
        for word in (*env, *words):
            self.assertIn(word, answer.json["message"])

    def test_python_path(self):
        files = {"main.py": f"import helper\n{PYTHON_SEEN}", "lib/helper.py": "NAME = 'helper'", "lib/json.py": "raise RuntimeError"}
        for path in ("CODE/lib", "lib", "/nowhere:CODE/lib"):
            self.check("python", files, {"PYTHONPATH": path}, "helper.NAME", ["helper", [], True])

    def test_python_flags(self):
        for env, asked, value in (
            ({"PYTHONHASHSEED": "5"}, "hash('a') == int(os.popen('env -i PYTHONHASHSEED=5 ' + sys.executable + ' -c \"print(hash(chr(97)))\"').read())", True),
            ({"PYTHONOPTIMIZE": "2"}, "sys.flags.optimize", 2),
            ({"PYTHONUTF8": "1"}, "sys.flags.utf8_mode", 1),
            ({"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}, "[sys.dont_write_bytecode, 'PYTHONUNBUFFERED' in os.environ]", [True, True]),
            ({"PYTHONWARNINGS": "error"}, "sys.warnoptions", ["error"]),
            ({"TZ": "XYZ-05:30"}, "__import__('time').strftime('%z')", "+0530"),
        ):
            with self.subTest(env):
                self.check("python", {"main.py": PYTHON_SEEN}, env, asked, [value, [], True])

    def test_other_variables_and_secrets_come_along(self):
        env, secrets = {"LANG": "C", "GREETING": "hi"}, {"KEY": "kept back"}
        self.check("python", {"main.py": PYTHON_SEEN}, env, "[os.environ['GREETING'], os.environ['KEY'], os.environ['LANG']]",
                   [["hi", "kept back", "C"], [], True], secrets=secrets)
        env = {"NODE_OPTIONS": "--no-warnings", "GREETING": "hi", "NODE_ENV": "production"}
        self.check("nodejs", {"main.js": NODE_SEEN}, env, "['GREETING', 'KEY', 'NODE_ENV'].map((name) => process.env[name])",
                   [["hi", "kept back", "production"], 2, 0], secrets=secrets)

    def test_python_says_why_it_does_not_start(self):
        for env, words in (
            ({"PYTHONHASHSEED": "nonsense"}, ["random"]),
            ({"PYTHONHOME": "/nowhere"}, ["Fatal Python error"]),
            ({"LD_PRELOAD": "/no/such.so"}, ["/no/such.so"]),
            ({"PYTHONIOENCODING": "latin-1"}, ["UTF-8"]),
            ({"PYTHONSTARTUP": "x.py"}, ["interactive"]),
        ):
            with self.subTest(env):
                self.refused("python", {"main.py": PYTHON_SEEN}, env, words)

    def test_node_options(self):
        files = {"main.js": NODE_SEEN, "hook.js": "globalThis.hooked = 1;", "lib/dep.js": "module.exports = 'dep';", "ca.pem": ""}
        for env, asked, value in (
            ({"NODE_OPTIONS": "--stack-trace-limit=77"}, "Error.stackTraceLimit", 77),
            ({"NODE_OPTIONS": "--require ./hook.js"}, "globalThis.hooked", 1),
            ({"NODE_OPTIONS": "--max-old-space-size=64"}, "require('v8').getHeapStatistics().heap_size_limit < 2 ** 28", True),
            ({"NODE_PATH": "CODE/lib"}, "require('dep')", "dep"),
            ({"NODE_EXTRA_CA_CERTS": "CODE/ca.pem", "TZ": "Asia/Tokyo"}, "new Date(0).getHours()", 9),
        ):
            with self.subTest(env):
                self.check("nodejs", files, env, asked, [value, 2, 0], handler="main")

    def test_node_says_why_it_does_not_start(self):
        for env, words in (
            ({"NODE_OPTIONS": "--no-such-option"}, ["--no-such-option is not allowed"]),
            ({"NODE_OPTIONS": "--require ./missing.js"}, ["Cannot find module './missing.js'"]),
            ({"NODE_EXTRA_CA_CERTS": "./missing.pem"}, ["ENOENT"]),
            ({"NODE_CHANNEL_FD": "3"}, ["sets it"]),
            ({"LD_PRELOAD": "/no/such.so"}, ["/no/such.so"]),
        ):
            with self.subTest(env):
                self.refused("nodejs", {"main.js": NODE_SEEN}, env, words)

    def test_the_process_that_was_started_again_ends_the_first_one(self):
        exits = (("python", "main.py", {"LANG": "C"}, "import os\ndef handler(params): os._exit(7)"),
                 ("nodejs", "main.js", {"NODE_OPTIONS": "--no-warnings"}, "exports.handler = () => process.exit(7);"))
        for runtime, name, env, source in exits:
            self.assertEqual(self.bind(runtime, {name: source}, env).status, 200)
            with self.assertRaises(ConnectionError):
                self.connection.invoke()
            self.assertEqual(self.an_agent.wait_for_end(), 7)


class VariablesInProcesses(Variables, unittest.TestCase):
    pass


@unittest.skipUnless(docker_has("serverledge-python:latest") and docker_has("serverledge-nodejs:latest"), "there is no Docker, or an image is missing")
class VariablesInImages(Variables, unittest.TestCase):
    kind = AgentInImage


if __name__ == "__main__":
    unittest.main()
