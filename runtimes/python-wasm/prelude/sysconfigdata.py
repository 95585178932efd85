"""What sysconfig knows of how this Python was made: only what modules of the library ask for."""

build_time_vars = {"TZPATH": "", "Py_GIL_DISABLED": 0, "SOABI": "cpython-313-wasm32-wasi", "EXT_SUFFIX": ".cpython-313-wasm32-wasi.so"}
