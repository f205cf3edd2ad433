"""Prints what a guest needs of this machine to run Python modules, one path a line: the
interpreter, the libraries it has loaded, its own modules and the packages in use.

python_files.py MODULE..., in the folder of those that are not installed.
"""

import importlib
import os
import sys
import sysconfig

# of the standard library, what no service needs: tests, desktops, tools
LEFT_OUT = {
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
    "unittest",
}


def below(top):
    for folder, folders, files in os.walk(top):
        folders[:] = [
            name
            for name in folders
            if name not in LEFT_OUT and not name.startswith("config-")
        ]
        for name in files:
            yield os.path.join(folder, name)


def named(library):
    """A loaded library, and the links by whose names others ask for it."""
    folder, file = os.path.split(library)
    stem = file.partition(".so")[0] + ".so"
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith(stem) and os.path.realpath(path) == library:
            yield path


def main(modules):
    sys.path.insert(0, os.getcwd())
    for name in modules:
        importlib.import_module(name)
    standard = sysconfig.get_path("stdlib")
    found = {sys.executable, *below(standard)}
    base = os.path.join(sys.base_prefix, "bin", os.path.basename(os.path.realpath(sys.executable)))
    found.add(base)
    found.add(os.path.join(sys.prefix, "pyvenv.cfg"))
    for name in list(sys.modules):
        origin = getattr(sys.modules[name], "__file__", None)
        if not origin:
            continue
        found.add(origin)
        if not origin.startswith(standard + os.sep):
            top = sys.modules[name.partition(".")[0]]
            for folder in getattr(top, "__path__", []):
                found.update(below(folder))
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            path = line.rstrip().partition("/")[2]
            if ".so" in path:
                found.update(named("/" + path))
    for path in sorted(found):
        if os.path.isfile(path):
            print(path)


main(sys.argv[1:])
