"""Checks what is in deploy/ as far as one machine can: manifests against the Kubernetes schemas,
collector configurations by their references and, where there is one, by a real collector, the
unit by systemd. Prints a line a test in the form of cargo's tests; exits 1 when one failed."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
# the oldest release that knows every field used, and a current one
KUBERNETES = ["1.31", "1.34"]
# of systemd-analyze's scale from 0 (tight) to 10; the unit needs root and four capabilities
MOST_EXPOSED = 3.0
CAPABILITIES = {"BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"}


class Skipped(Exception):
    """Something is missing: what, and how to get it."""


def yaml_documents(name):
    try:
        import yaml
    except ImportError:
        raise Skipped("PyYAML: cargo xtask setup --only services")
    return [d for d in yaml.safe_load_all((DEPLOY / name).read_text()) if d]


def daemonset():
    return next(d for d in yaml_documents("daemonset.yaml") if d["kind"] == "DaemonSet")


def manifests_fit_their_schemas():
    documents = yaml_documents("daemonset.yaml")
    try:
        import kubernetes_validate
    except ImportError:
        raise Skipped("kubernetes-validate: cargo xtask setup --only services")
    assert documents
    for version in KUBERNETES:
        for document in documents:
            kubernetes_validate.validate(document, version, strict=True)


def schemas_refuse_a_wrong_manifest():
    document = daemonset()
    try:
        import kubernetes_validate
    except ImportError:
        raise Skipped("kubernetes-validate: cargo xtask setup --only services")
    document["spec"]["template"]["spec"]["hostPid"] = True
    try:
        kubernetes_validate.validate(document, KUBERNETES[-1], strict=True)
    except kubernetes_validate.ValidationError:
        return
    raise AssertionError("a misspelt field was accepted")


def daemonset_asks_for_no_more_than_it_needs():
    pod = daemonset()["spec"]["template"]["spec"]
    context = pod["containers"][0]["securityContext"]
    assert set(context["capabilities"]["add"]) == CAPABILITIES, context
    assert context["capabilities"]["drop"] == ["ALL"]
    assert context["readOnlyRootFilesystem"] and not context["privileged"]
    assert not context["allowPrivilegeEscalation"]
    assert pod["hostPID"] and "hostNetwork" not in pod
    assert not pod["automountServiceAccountToken"]
    assert pod["containers"][0]["resources"]["limits"]["memory"]
    volumes = {v["name"] for v in pod["volumes"]}
    mounts = pod["containers"][0]["volumeMounts"]
    assert {m["name"] for m in mounts} == volumes
    assert all(m["readOnly"] for m in mounts)


def daemonset_selects_its_own_pods():
    spec = daemonset()["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()


def problems(config):
    """What does not fit between a collector's components and its pipelines."""
    found = []
    used = {"receivers": set(), "processors": set(), "exporters": set()}
    pipelines = config.get("service", {}).get("pipelines", {})
    if not pipelines:
        found.append("no pipeline")
    for name, pipeline in pipelines.items():
        for kind, uses in used.items():
            for component in pipeline.get(kind, []):
                uses.add(component)
                if component not in config.get(kind, {}):
                    found.append(f"{name}: no {kind[:-1]} {component}")
        if not pipeline.get("receivers") or not pipeline.get("exporters"):
            found.append(f"{name}: nothing comes in or nothing goes out")
        if pipeline.get("processors", ["memory_limiter"])[0] != "memory_limiter":
            found.append(f"{name}: memory_limiter must be first")
    for kind, uses in used.items():
        found += [f"{kind[:-1]} {unused} is not used" for unused in set(config.get(kind, {})) - uses]
    return found


def collector_pipelines_name_what_there_is():
    for name in ["collector/node.yaml", "collector/gateway.yaml"]:
        (config,) = yaml_documents(name)
        assert problems(config) == [], (name, problems(config))
    wrong = {"receivers": {"a": {}}, "service": {"pipelines": {"traces": {"receivers": ["b"]}}}}
    assert len(problems(wrong)) == 3, problems(wrong)


def tiers_fit_together():
    (node,) = yaml_documents("collector/node.yaml")
    (gateway,) = yaml_documents("collector/gateway.yaml")
    balancing = node["exporters"]["loadbalancing"]
    assert balancing["routing_key"] == "traceID"
    port = balancing["resolver"]["dns"]["port"]
    assert gateway["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].endswith(":" + port)
    policies = {p["name"]: p for p in gateway["processors"]["tail_sampling"]["policies"]}
    assert policies["errors"]["status_code"]["status_codes"] == ["ERROR"]
    assert policies["slow"]["latency"]["threshold_ms"] == 2000
    assert policies["rest"]["probabilistic"]["sampling_percentage"] == 10
    documented = (DEPLOY / "collector/README.md").read_text()
    for name in ["node", "gateway"]:
        text = (DEPLOY / f"collector/{name}.yaml").read_text()
        for variable in re.findall(r"\$\{env:(\w+)\}", text):
            assert f"`{variable}`" in documented, variable


def collector():
    built = DEPLOY.parent / "target/xtask/collector/otelcol"
    installed = map(shutil.which, ["otelcol-contrib", "otelcol"])
    candidates = [os.environ.get("OTELCOL"), *installed, built.exists() and str(built)]
    found = next(filter(None, candidates), None)
    if not found:
        raise Skipped("a collector: cargo xtask setup --only collector (minutes), or set OTELCOL")
    return found


COLLECTOR_ENV = {"POD_IP": "127.0.0.1", "GATEWAY_HOSTNAME": "localhost"}


def a_collector_accepts_its_configurations():
    env = os.environ | COLLECTOR_ENV | {"BACKEND_ENDPOINT": "127.0.0.1:14317"}
    for name in ["node", "gateway"]:
        path = DEPLOY / f"collector/{name}.yaml"
        run([collector(), "validate", f"--config={path}"], env=env)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_until(what, holds, seconds=60):
    for _ in range(seconds * 10):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def trace(number, seconds, failed):
    """One trace of one span, as OTLP JSON. Ids are spread as random ones are, and repeat."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    start = 1_700_000_000_000_000_000
    return {
        "traceId": digest[:32],
        "spanId": digest[32:48],
        "name": f"trace {number}",
        "kind": 2,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(seconds * 1e9)),
        "status": {"code": 2} if failed else {},
    }


def gateway_keeps_errors_slow_ones_and_a_tenth():
    program = collector()
    backend = DEPLOY.parent / "target/xtask/workloads/backend/run"
    if not backend.exists():
        raise Skipped("a backend: cargo xtask setup --only services")
    errors = [trace(n, 0.1, True) for n in range(20)]
    slow = [trace(n, 3, False) for n in range(100, 120)]
    rest = [trace(n, 0.1, False) for n in range(1000, 1500)]
    grpc, http, otlp, into = free_ports(4)
    path = DEPLOY / "collector/gateway.yaml"
    # the same file, but it decides sooner, and takes JSON too
    settings = [
        "processors::tail_sampling::decision_wait=2s",
        f"receivers::otlp::protocols::grpc::endpoint=127.0.0.1:{otlp}",
        f"receivers::otlp::protocols::http::endpoint=127.0.0.1:{into}",
        "service::telemetry::metrics::level=none",
    ]
    command = [program, f"--config={path}", *[f"--set={s}" for s in settings]]
    env = os.environ | COLLECTOR_ENV | {"BACKEND_ENDPOINT": f"127.0.0.1:{grpc}"}
    ports = {"OTLP_GRPC_PORT": str(grpc), "OTLP_HTTP_PORT": str(http)}
    with tempfile.TemporaryDirectory() as folder:
        printed = pathlib.Path(folder) / "received"
        with open(printed, "w") as out, open(pathlib.Path(folder) / "log", "w") as log:
            started = [subprocess.Popen([str(backend)], env=os.environ | ports, stdout=out)]
            started.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
            try:
                wait_until("the backend", lambda: listens(grpc))
                wait_until("the gateway", lambda: listens(into))
                spans = errors + slow + rest
                body = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
                request = urllib.request.Request(
                    f"http://127.0.0.1:{into}/v1/traces",
                    json.dumps(body).encode(),
                    {"Content-Type": "application/json"},
                )
                urllib.request.urlopen(request, timeout=30).read()
                kept = lambda: set(re.findall(r"Trace ID +: (\w+)", printed.read_text()))
                wanted = {span["traceId"] for span in errors + slow}
                wait_until("errors and slow ones", lambda: wanted <= kept())
                tenth = len(kept() & {span["traceId"] for span in rest})
                # 50 are expected; the hash of fixed ids gives the same number each time
                assert 25 <= tenth <= 75, f"{tenth} of {len(rest)} others were kept"
            finally:
                for process in started:
                    process.terminate()
                for process in started:
                    process.wait(timeout=30)


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout


def unit_copy(folder):
    """The unit with a program that is there, and no units of a machine that may lack them."""
    text = (DEPLOY / "weft.service").read_text()
    text = text.replace("/usr/bin/weft", "/bin/true")
    path = pathlib.Path(folder) / "weft.service"
    path.write_text(text)
    return path


def systemd_analyze(*args):
    if not shutil.which("systemd-analyze"):
        raise Skipped("systemd-analyze: apt-get install systemd")
    with tempfile.TemporaryDirectory() as folder:
        return run(["systemd-analyze", *args, str(unit_copy(folder))])


def systemd_accepts_the_unit():
    assert systemd_analyze("verify", "--man=no", "--recursive-errors=no").strip() == ""


def the_unit_is_hardened():
    report = systemd_analyze("security", "--offline=true", "--no-pager")
    exposure = float(re.search(r"exposure level for \S+ ([0-9.]+)", report).group(1))
    assert exposure <= MOST_EXPOSED, f"{exposure}\n{report}"


def the_unit_and_the_daemonset_agree():
    text = (DEPLOY / "weft.service").read_text()
    bounding = re.search(r"^CapabilityBoundingSet=(.*)$", text, re.M).group(1).split()
    assert {name.removeprefix("CAP_") for name in bounding} == CAPABILITIES


def the_image_holds_nothing_but_the_agent():
    text = (DEPLOY / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.M)
    final = stages[-1]
    assert final.startswith("scratch\n") and "RUN" not in final
    # what it copies is what the build stage makes
    assert "/src/target/dist/weft" in final and "cargo xtask dist" in stages[-2]


def weft_gets_ready_with_those_capabilities_only():
    weft = os.environ.get("WEFT_BIN")
    if not weft:
        raise Skipped("weft: run it by `cargo xtask test deploy`, or set WEFT_BIN")
    if os.geteuid() != 0:
        raise Skipped("root: run as root")
    if not shutil.which("setpriv"):
        raise Skipped("setpriv: apt-get install util-linux")
    bounding = ",".join(["-all"] + sorted("+" + name.lower() for name in CAPABILITIES))
    command = ["setpriv", "--bounding-set", bounding, "--inh-caps=-all", "--no-new-privs"]
    # the same restriction on a shell shows that it bites
    effective = run(command + ["grep", "CapEff", "/proc/self/status"]).split()[1]
    assert bin(int(effective, 16)).count("1") == len(CAPABILITIES), effective
    with tempfile.TemporaryDirectory() as folder:
        errors = pathlib.Path(folder) / "err"
        with open(errors, "w") as stderr:
            output = f"file:{folder}/spans.jsonl"
            command += [weft, "run", "--output", output]
            agent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
        try:
            for _ in range(300):
                if re.search(r"\bready\b", errors.read_text()) or agent.poll() is not None:
                    break
                time.sleep(0.1)
            assert agent.poll() is None, f"it ended: {agent.returncode}\n{errors.read_text()}"
            assert re.search(r"\bready\b", errors.read_text()), errors.read_text()
            agent.terminate()
            assert agent.wait(timeout=30) == 0, f"{agent.returncode}\n{errors.read_text()}"
        finally:
            agent.kill()
            agent.wait()


TESTS = [
    manifests_fit_their_schemas,
    schemas_refuse_a_wrong_manifest,
    daemonset_asks_for_no_more_than_it_needs,
    daemonset_selects_its_own_pods,
    collector_pipelines_name_what_there_is,
    tiers_fit_together,
    a_collector_accepts_its_configurations,
    gateway_keeps_errors_slow_ones_and_a_tenth,
    systemd_accepts_the_unit,
    the_unit_is_hardened,
    the_unit_and_the_daemonset_agree,
    the_image_holds_nothing_but_the_agent,
    weft_gets_ready_with_those_capabilities_only,
]


def main():
    failures = []
    for test in TESTS:
        name = test.__name__
        try:
            test()
            print(f"test {name} ... ok", flush=True)
        except Skipped as missing:
            # a skip counts through its own line: no result line
            print(f"SKIPPED {name}: {missing}", flush=True)
        except Exception as error:
            print(f"test {name} ... FAILED", flush=True)
            failures.append(f"---- {name} stdout ----\n{type(error).__name__}: {error}")
    if failures:
        print("failures:\n" + "\n".join(failures), flush=True)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
