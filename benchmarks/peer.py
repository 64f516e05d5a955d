"""One tool on one model in a process of its own: ``python -m benchmarks.peer TOOL IN OUT RESULT [--target T]``.

RESULT is a JSON file, because tools print what they like: seconds to import the tool, and wall and CPU seconds from
the input file to the written output file. Nothing is verified: onnxsim's and OnnxSlim's checks are off by default.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

Work = Callable[[Path, Path], None]


def dlarewrite(target: str, io: str) -> Work:
    """The passes' modules, which are loaded on first use, are imports as well."""
    from dlarewrite.catalogue import discover
    from dlarewrite.compiler import Options, optimize

    discover().classes()
    options = Options(target=target, native_io=io == "native", verify="off")
    return lambda source, out: optimize(source, options).save(out)


def onnxsim(target: str, io: str) -> Work:
    """As ``onnxsim IN OUT``: no check runs unless asked for."""
    import onnx
    import onnxsim

    return lambda source, out: onnx.save(onnxsim.simplify(str(source))[0], str(out))


def onnxslim(target: str, io: str) -> Work:
    """As ``onnxslim IN OUT``: no check runs unless asked for."""
    import onnx
    import onnxslim

    return lambda source, out: onnx.save(onnxslim.slim(str(source)), str(out))


TOOLS: dict[str, Callable[[str, str], Work]] = {"onnxsim": onnxsim, "onnxslim": onnxslim, "dlarewrite": dlarewrite}


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; a missing or failing one is told in RESULT, exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool", choices=sorted(TOOLS))
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--target", default="orin-jp6")
    parser.add_argument("--io", choices=("keep", "native"), default="keep")
    chosen = parser.parse_args(arguments)
    found: dict[str, object] = {}
    start = time.perf_counter()
    try:
        work = TOOLS[chosen.tool](chosen.target, chosen.io)
        found["import_seconds"] = time.perf_counter() - start
        start, cpu = time.perf_counter(), time.process_time()
        work(chosen.source, chosen.out)
        found |= {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    except ImportError as error:
        found = {"missing": str(error)}
    except Exception as error:  # whatever a tool raises belongs into the table
        found |= {
            "crash": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        }
    chosen.result.write_text(json.dumps(found))
    return int("seconds" not in found)


if __name__ == "__main__":
    sys.exit(main())
